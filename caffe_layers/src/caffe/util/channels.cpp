#include "caffe/util/channels.hpp"

#include <algorithm>
#include <vector>

#include "caffe/util/simd_clones.hpp"

namespace caffe {

namespace {

// A run is a block of channels of one image: pixels * block numbers in a row,
// or, where a pixel's channels are beside each other, some numbers of each
// pixel. They are taken kLanes at a time, whatever the block: number i of a run
// is of channel i % block. (32, not 16, so that additions need not wait for
// each other.)
const int kLanes = Channels::kLanes;

struct Run {
  int64_t count;  // from the first number to behind the last pixel
  int row;        // from a pixel to the next; 0: one number follows the other
  int lanes;      // of a pixel

  Run(const Channels& shape, int block)
      : count(static_cast<int64_t>(shape.pixels) *
              (shape.row ? shape.row : shape.block)),
        row(shape.row),
        lanes(std::min(kLanes, shape.row - block * kLanes)) {}
};

// Coefficients of a run's channels, over and over again.
struct Lanes {
  alignas(64) float at[kLanes];

  Lanes() : at() {}
  Lanes(const vector<float>& values, int run, int block) {
    for (int i = 0; i < kLanes; ++i) {
      at[i] = values[run * block + i % block];
    }
  }
};

CAFFE_ALWAYS_INLINE float Of(const ReLUGradient& g, bool masked, int64_t i) {
  return masked ? g.diff[i] * ((g.top[i] > 0) + g.slope * (g.top[i] <= 0)) :
      g.diff[i];
}

// Bodies are called as body(i, lane) for all numbers of a run. No number
// depends on another, so pointers may be the same.
template <typename Body>
CAFFE_ALWAYS_INLINE void ForRun(const Run& run, const Body& body) {
  int64_t i = 0;
  if (run.row && run.lanes < kLanes) {
    for (; i < run.count; i += run.row) {
      for (int lane = 0; lane < run.lanes; ++lane) { body(i + lane, lane); }
    }
    return;
  }
  if (run.row) {
    for (; i < run.count; i += run.row) {
#pragma omp simd
      for (int lane = 0; lane < kLanes; ++lane) { body(i + lane, lane); }
    }
    return;
  }
  for (; i + kLanes <= run.count; i += kLanes) {
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) { body(i + lane, lane); }
  }
  for (int lane = 0; i + lane < run.count; ++lane) { body(i + lane, lane); }
}

// Sums are kept in variables of their own, which can be registers.

CAFFE_SIMD_CLONES void SumRun(const Run& run, const float* x, Lanes* result) {
  Lanes sum;
  ForRun(run, [=, &sum](int64_t i, int lane) { sum.at[lane] += x[i]; });
  *result = sum;
}

CAFFE_SIMD_CLONES void SquareRun(const Run& run, const Lanes& mean,
                                 const float* x, Lanes* result) {
  Lanes sum;
  ForRun(run, [=, &mean, &sum](int64_t i, int lane) {
    const float d = x[i] - mean.at[lane];
    sum.at[lane] += d * d;
  });
  *result = sum;
}

CAFFE_SIMD_CLONES void ScaleRun(const Run& run, const float* scale,
                                const float* shift, const float* x, float* y) {
  ForRun(run, [=](int64_t i, int lane) {
    y[i] = scale[lane] * x[i] + shift[lane];
  });
}

CAFFE_SIMD_CLONES void ScaleReLURun(const Run& run, const float* scale,
    const float* shift, float slope, const float* x, float* y) {
  ForRun(run, [=](int64_t i, int lane) {
    // As std::max and std::min choose, NaN included.
    const float v = scale[lane] * x[i] + shift[lane];
    y[i] = (v < 0 ? 0 : v) + slope * (v > 0 ? 0 : v);
  });
}

CAFFE_ALWAYS_INLINE void SumsOf(bool masked, const Run& run,
    const ReLUGradient& g, const float* scale, const float* shift,
    const float* x, Lanes* sum_result, Lanes* product_result) {
  Lanes sum, product;
  ForRun(run, [=, &sum, &product](int64_t i, int lane) {
    const float d = Of(g, masked, i);
    sum.at[lane] += d;
    product.at[lane] += d * (scale[lane] * x[i] + shift[lane]);
  });
  *sum_result = sum;
  *product_result = product;
}

CAFFE_SIMD_CLONES void SumsRun(const Run& run, const ReLUGradient& g,
    const float* scale, const float* shift, const float* x, Lanes* sum,
    Lanes* product) {
  g.top ? SumsOf(true, run, g, scale, shift, x, sum, product) :
      SumsOf(false, run, g, scale, shift, x, sum, product);
}

CAFFE_ALWAYS_INLINE void GradientOf(bool masked, const Run& run,
    const ReLUGradient& g, const float* p, const float* q, const float* r,
    const float* x, float* dx) {
  if (x) {
    ForRun(run, [=](int64_t i, int lane) {
      dx[i] = p[lane] * Of(g, masked, i) + q[lane] * x[i] + r[lane];
    });
  } else {
    ForRun(run, [=](int64_t i, int lane) {
      dx[i] = p[lane] * Of(g, masked, i);
    });
  }
}

CAFFE_SIMD_CLONES void GradientRun(const Run& run, const ReLUGradient& g,
    const float* p, const float* q, const float* r, const float* x,
    float* dx) {
  g.top ? GradientOf(true, run, g, p, q, r, x, dx) :
      GradientOf(false, run, g, p, q, r, x, dx);
}

// Calls work(number of the run, block of channels, run, offset) for all runs,
// in threads.
template <typename Work>
void ForRuns(const Channels& shape, const Work& work) {
  const int runs = shape.num * shape.blocks;
#pragma omp parallel for
  for (int number = 0; number < runs; ++number) {
    const int block = number % shape.blocks;
    const Run run(shape, block);
    work(number, block, run, shape.row ?
         number / shape.blocks * run.count + block * kLanes :
         number * run.count);
  }
}

// A channel's number in a run, from sums by lanes.
double Folded(const Lanes& lanes, int channel, int block) {
  double sum = 0;
  for (int i = channel; i < kLanes; i += block) { sum += lanes.at[i]; }
  return sum;
}

ReLUGradient From(const ReLUGradient& g, int64_t offset) {
  ReLUGradient moved = g;
  moved.diff += offset;
  if (moved.top) { moved.top += offset; }
  return moved;
}

}  // namespace

void ChannelMoments(const Channels& shape, const float* x,
    vector<float>* mean, vector<float>* variance) {
  // Of every run by itself, while it is in the cache; then all together, by
  // Chan's formula.
  const int runs = shape.num * shape.blocks;
  vector<double> means(runs * shape.block), squares(runs * shape.block);
  ForRuns(shape, [&](int number, int, const Run& run, int64_t offset) {
    Lanes sum, centre, square;
    SumRun(run, x + offset, &sum);
    for (int c = 0; c < shape.block; ++c) {
      means[number * shape.block + c] =
          Folded(sum, c, shape.block) / shape.pixels;
    }
    for (int i = 0; i < kLanes; ++i) {
      centre.at[i] = means[number * shape.block + i % shape.block];
    }
    SquareRun(run, centre, x + offset, &square);
    for (int c = 0; c < shape.block; ++c) {
      // About the run's mean as it was rounded; moved to the mean itself.
      const double off = centre.at[c] - means[number * shape.block + c];
      squares[number * shape.block + c] =
          Folded(square, c, shape.block) - off * off * shape.pixels;
    }
  });
  mean->resize(shape.padded());
  variance->resize(shape.padded());
  for (int c = 0; c < shape.padded(); ++c) {
    double centre = 0, square = 0;
    for (int n = 0; n < shape.num; ++n) {
      const int at = n * shape.padded() + c;
      const double delta = means[at] - centre;
      centre += delta / (n + 1);
      square += squares[at] + delta * delta * shape.pixels * n / (n + 1);
    }
    (*mean)[c] = centre;
    (*variance)[c] = std::max(0.0, square) / shape.num / shape.pixels;
  }
}

void ChannelScale(const Channels& shape, const vector<float>& scale,
    const vector<float>& shift, const float* x, float* y) {
  ForRuns(shape, [&](int, int block, const Run& run, int64_t offset) {
    ScaleRun(run, Lanes(scale, block, shape.block).at,
             Lanes(shift, block, shape.block).at, x + offset, y + offset);
  });
}

void ChannelScaleReLU(const Channels& shape, const vector<float>& scale,
    const vector<float>& shift, float slope, const float* x, float* y) {
  ForRuns(shape, [&](int, int block, const Run& run, int64_t offset) {
    ScaleReLURun(run, Lanes(scale, block, shape.block).at,
                 Lanes(shift, block, shape.block).at, slope, x + offset,
                 y + offset);
  });
}

void ChannelSums(const Channels& shape, const ReLUGradient& g,
    const vector<float>& scale, const vector<float>& shift, const float* x,
    vector<float>* sum, vector<float>* product) {
  vector<double> sums(shape.num * shape.padded()), products(sums.size());
  ForRuns(shape, [&](int number, int block, const Run& run, int64_t offset) {
    Lanes of_run, product_of_run;
    SumsRun(run, From(g, offset),
            Lanes(scale, block, shape.block).at,
            Lanes(shift, block, shape.block).at, x + offset, &of_run,
            &product_of_run);
    for (int c = 0; c < shape.block; ++c) {
      sums[number * shape.block + c] = Folded(of_run, c, shape.block);
      products[number * shape.block + c] =
          Folded(product_of_run, c, shape.block);
    }
  });
  sum->resize(shape.padded());
  product->resize(shape.padded());
  for (int c = 0; c < shape.padded(); ++c) {
    double whole = 0, whole_product = 0;
    for (int n = 0; n < shape.num; ++n) {
      whole += sums[n * shape.padded() + c];
      whole_product += products[n * shape.padded() + c];
    }
    (*sum)[c] = whole;
    (*product)[c] = whole_product;
  }
}

void ChannelGradient(const Channels& shape, const ReLUGradient& g,
    const vector<float>& p, float* dx) {
  ForRuns(shape, [&](int, int block, const Run& run, int64_t offset) {
    GradientRun(run, From(g, offset),
                Lanes(p, block, shape.block).at, NULL, NULL, NULL,
                dx + offset);
  });
}

void ChannelGradient(const Channels& shape, const ReLUGradient& g,
    const vector<float>& p, const vector<float>& q, const vector<float>& r,
    const float* x, float* dx) {
  ForRuns(shape, [&](int, int block, const Run& run, int64_t offset) {
    GradientRun(run, From(g, offset),
                Lanes(p, block, shape.block).at,
                Lanes(q, block, shape.block).at,
                Lanes(r, block, shape.block).at, x + offset, dx + offset);
  });
}

}  // namespace caffe
