#ifndef CAFFE_UTIL_TRANSFORM_ROW_HPP_
#define CAFFE_UTIL_TRANSFORM_ROW_HPP_

namespace caffe {

/**
 * @brief out = (in - mean) * scale for one row of a Datum, which the compiler
 *        turns into vectors.
 *
 * @param in width numbers, from left to right
 * @param mean width numbers to subtract, or NULL for mean_value
 * @param mirror whether out goes from right to left
 */
template <typename Source, typename Dtype>
void TransformRow(const Source* in, const Dtype* mean, const Dtype mean_value,
    const Dtype scale, const bool mirror, const int width, Dtype* out) {
  if (mean && mirror) {
    for (int w = 0; w < width; ++w) {
      out[width - 1 - w] = (static_cast<Dtype>(in[w]) - mean[w]) * scale;
    }
  } else if (mean) {
    for (int w = 0; w < width; ++w) {
      out[w] = (static_cast<Dtype>(in[w]) - mean[w]) * scale;
    }
  } else if (mirror) {
    for (int w = 0; w < width; ++w) {
      out[width - 1 - w] = (static_cast<Dtype>(in[w]) - mean_value) * scale;
    }
  } else {
    for (int w = 0; w < width; ++w) {
      out[w] = (static_cast<Dtype>(in[w]) - mean_value) * scale;
    }
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_TRANSFORM_ROW_HPP_
