#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "caffe/test/onednn_test.hpp"
#include "caffe/util/channel_fusion.hpp"

namespace caffe {

// BatchNorm, Scale and ReLU in place, on values in each layout of oneDNN's that
// a convolution may leave them in, whichever of them this processor's does.
class ChannelFusionTest : public OneDNNTest {
 protected:
  typedef dnnl::memory::format_tag Tag;

  // The values of a blob of Caffe's, in a layout.
  static void Lay(const Blob<float>& from, bool diff, Tag tag,
                  SyncedMemory* to) {
    const dnnl::memory::dims dims = onednn::Dims(from);
    const shared_ptr<onednn::Layout> layout(
        new onednn::Layout(onednn::Desc(dims, onednn::kFloat, tag)));
    const float* values = diff ? from.cpu_diff() : from.cpu_data();
    onednn::Reorder(dnnl::memory(onednn::PlainDesc(dims), onednn::Engine(),
                                 const_cast<float*>(values)),
                    layout->memory());
    to->set_private_data(layout);
  }

  void CompareIn(Tag tag, const vector<int>& shape) {
    Blob<float> own(shape), blob(shape);
    const vector<Blob<float>*> owns(1, &own), blobs(1, &blob);
    vector<shared_ptr<caffe::Layer<float> > > own_layers, layers;
    for (const char* text : {
             "name: 'n' type: 'BatchNorm'",
             "name: 's' type: 'Scale' scale_param { bias_term: true"
             " filler { type: 'gaussian' std: 1 }"
             " bias_filler { type: 'gaussian' std: 1 } }",
             "name: 'r' type: 'ReLU' relu_param { negative_slope: 0.2 }"}) {
      own_layers.push_back(
          LayerRegistry<float>::CreateLayer(Layer(text, "CAFFE")));
      layers.push_back(
          LayerRegistry<float>::CreateLayer(Layer(text, "ONEDNN")));
      own_layers.back()->SetUp(owns, owns);
      layers.back()->SetUp(blobs, blobs);
      for (int i = 0; i < layers.back()->blobs().size(); ++i) {
        layers.back()->blobs()[i]->CopyFrom(*own_layers.back()->blobs()[i]);
      }
    }
    const vector<bool> propagate_down(1, true);
    for (int pass = 0; pass < 2; ++pass) {
      Fill(&own, false);
      Lay(own, false, tag, blob.data().get());
      for (int i = 0; i < 3; ++i) {
        own_layers[i]->Forward(owns, owns);
        layers[i]->Forward(blobs, blobs);
        // The first two leave their work to the third.
        const shared_ptr<onednn::PendingScale> pending =
            onednn::PendingOf<onednn::PendingScale>(*blob.data(),
                                                    onednn::Dims(blob));
        EXPECT_EQ(i < 2, pending.get() != NULL);
      }
      Fill(&own, true);
      Lay(own, true, tag, blob.diff().get());
      for (int i = 2; i >= 0; --i) {
        own_layers[i]->Backward(owns, propagate_down, owns);
        layers[i]->Backward(blobs, propagate_down, blobs);
      }
      ExpectSame(own, blob, "blob");
      for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < layers[i]->blobs().size(); ++j) {
          ExpectSame(*own_layers[i]->blobs()[j], *layers[i]->blobs()[j],
                     "parameter");
        }
      }
    }
  }
};

TEST_F(ChannelFusionTest, InBlocksOfChannels) {
  for (const Tag tag : {Tag::aBcd8b, Tag::aBcd16b}) {
    CompareIn(tag, {3, 32, 5, 7});
    CompareIn(tag, {2, 20, 4, 9});
  }
}

// So oneDNN has them for AMX.
TEST_F(ChannelFusionTest, WithAllChannelsBesideEachOther) {
  for (const int channels : {2, 5, 31, 32, 33, 64, 100}) {
    SCOPED_TRACE(channels);
    CompareIn(Tag::acdb, {3, channels, 5, 7});
  }
  CompareIn(Tag::acdb, {9, 40, 1, 1});
}

}  // namespace caffe
