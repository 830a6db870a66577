// What the processor reaches on the parts of a training step, one by one.
//
// Reads one part a line from standard input:
//   convolution N GROUPS INPUTS OUTPUTS SIDE KERNEL STRIDE PAD PASSES
//   product N INPUTS OUTPUTS PASSES
//   cold N INPUTS OUTPUTS PASSES
//   update COUNT u
// where PASSES are letters: f forward, d backward to the data, w backward to the
// weights. Writes one JSON object a line: seconds by pass and by what computed
// it, each the fastest of many calls:
//   direct, winograd  oneDNN's convolutions; every tensor in the layout that
//                     oneDNN chooses, forward with ReLU
//   oneDNN            its inner products, layouts likewise
//   OpenBLAS          sgemm on Caffe's row-major matrices
//   one pass          SGD with momentum and decay, each number touched once
// A call finds what the call before left in the caches. In `cold` products the
// weights (or their gradient) are others in each call, so many in turn that they
// come from memory, as in a step whose weights are more than the caches hold.
//
// For oneDNN 2 (Debian's libdnnl-dev).

#include <cblas.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "dnnl.hpp"

using dnnl::memory;
using std::string;

typedef std::map<string, double> Seconds;      // by what computed it
typedef std::map<char, Seconds> Passes;
typedef std::unordered_map<int, memory> Arguments;

static const int kCaches = 256 << 20;  // bytes; more than any cache

static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
static dnnl::stream stream(cpu);

// Memory full of small numbers: other than zeros, denormals and NaN.
static memory Filled(const memory::desc& desc) {
  memory result(desc, cpu);
  float* data = static_cast<float*>(result.get_data_handle());
  for (size_t i = 0; i < desc.get_size() / sizeof(float); ++i) {
    data[i] = (i % 17) * 0.01f;
  }
  return result;
}

// Seconds of the fastest of as many calls as go into 0.3 s, at least three.
static double Best(const std::function<void()>& task) {
  typedef std::chrono::steady_clock Clock;
  double best = 1e9, sum = 0;
  task();
  for (int i = 0; i < 3 || sum < 0.3; ++i) {
    const Clock::time_point start = Clock::now();
    task();
    const double seconds =
        std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, seconds);
    sum += seconds;
  }
  return best;
}

static double Best(const dnnl::primitive& primitive, const Arguments& args) {
  return Best([&] {
    primitive.execute(stream, args);
    stream.wait();
  });
}

// The same with copies of the argument `weights`, one after the other.
static double Best(const dnnl::primitive& primitive, Arguments args,
                   int weights, int copies) {
  std::vector<memory> all;
  for (int i = 0; i < copies; ++i) {
    all.push_back(Filled(args.at(weights).get_desc()));
  }
  size_t next = 0;
  return Best([&] {
    args[weights] = all[next++ % all.size()];
    primitive.execute(stream, args);
    stream.wait();
  });
}

static memory::desc Any(const memory::dims& dims) {
  return memory::desc(dims, memory::data_type::f32, memory::format_tag::any);
}

static bool Has(const string& passes, char pass) {
  return passes.find(pass) != string::npos;
}

static void Convolve(std::istream& words, dnnl::algorithm algorithm,
                     const string& name, Passes* found) {
  memory::dim n, groups, inputs, outputs, side, kernel, stride, pad;
  string passes;
  words >> n >> groups >> inputs >> outputs >> side >> kernel >> stride >> pad
      >> passes;
  const memory::dim end = (side + 2 * pad - kernel) / stride + 1;
  const memory::desc x = Any({n, inputs, side, side});
  const memory::desc y = Any({n, outputs, end, end});
  const memory::desc bias = Any({outputs});
  const memory::desc w = groups > 1 ?
      Any({groups, outputs / groups, inputs / groups, kernel, kernel}) :
      Any({outputs, inputs, kernel, kernel});
  const memory::dims strides = {stride, stride}, pads = {pad, pad};
  dnnl::post_ops relu;
  relu.append_eltwise(1.f, dnnl::algorithm::eltwise_relu, 0.f, 0.f);
  dnnl::primitive_attr with_relu;
  with_relu.set_post_ops(relu);
  const dnnl::convolution_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, algorithm, x, w, bias, y, strides,
       pads, pads}, with_relu, cpu);
  if (Has(passes, 'f')) {
    (*found)['f'][name] = Best(dnnl::convolution_forward(forward), {
        {DNNL_ARG_SRC, Filled(forward.src_desc())},
        {DNNL_ARG_WEIGHTS, Filled(forward.weights_desc())},
        {DNNL_ARG_BIAS, Filled(forward.bias_desc())},
        {DNNL_ARG_DST, Filled(forward.dst_desc())}});
  }
  if (Has(passes, 'd')) {
    const dnnl::convolution_backward_data::primitive_desc desc(
        {algorithm, x, w, y, strides, pads, pads}, cpu, forward);
    (*found)['d'][name] = Best(dnnl::convolution_backward_data(desc), {
        {DNNL_ARG_DIFF_SRC, Filled(desc.diff_src_desc())},
        {DNNL_ARG_WEIGHTS, Filled(desc.weights_desc())},
        {DNNL_ARG_DIFF_DST, Filled(desc.diff_dst_desc())}});
  }
  if (Has(passes, 'w')) {
    const dnnl::convolution_backward_weights::primitive_desc desc(
        {algorithm, x, w, bias, y, strides, pads, pads}, cpu, forward);
    (*found)['w'][name] = Best(dnnl::convolution_backward_weights(desc), {
        {DNNL_ARG_SRC, Filled(desc.src_desc())},
        {DNNL_ARG_DIFF_WEIGHTS, Filled(desc.diff_weights_desc())},
        {DNNL_ARG_DIFF_BIAS, Filled(desc.diff_bias_desc())},
        {DNNL_ARG_DIFF_DST, Filled(desc.diff_dst_desc())}});
  }
}

static Passes Convolution(const string& words) {
  Passes found;
  std::istringstream direct(words), winograd(words);
  Convolve(direct, dnnl::algorithm::convolution_direct, "direct", &found);
  try {
    Convolve(winograd, dnnl::algorithm::convolution_winograd, "winograd",
             &found);
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) { throw; }  // for few shapes only
  }
  return found;
}

static void Sgemm(memory::dim n, memory::dim inputs, memory::dim outputs,
                  const string& passes, int copies, Passes* found) {
  std::vector<float> x(n * inputs, .1f), y(n * outputs, .1f);
  std::vector<std::vector<float>> weights(
      copies, std::vector<float>(outputs * inputs, .1f));
  size_t next = 0;
  const auto w = [&] { return weights[next++ % weights.size()].data(); };
  if (Has(passes, 'f')) {
    (*found)['f']["OpenBLAS"] = Best([&] {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, outputs, inputs,
                  1.f, x.data(), inputs, w(), inputs, 0.f, y.data(),
                  outputs);
    });
  }
  if (Has(passes, 'd')) {
    (*found)['d']["OpenBLAS"] = Best([&] {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, inputs,
                  outputs, 1.f, y.data(), outputs, w(), inputs, 0.f,
                  x.data(), inputs);
    });
  }
  if (Has(passes, 'w')) {
    (*found)['w']["OpenBLAS"] = Best([&] {
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, outputs, inputs, n,
                  1.f, y.data(), outputs, x.data(), inputs, 0.f, w(), inputs);
    });
  }
}

static Passes Product(const string& line, bool cold) {
  std::istringstream words(line);
  memory::dim n, inputs, outputs;
  string passes;
  words >> n >> inputs >> outputs >> passes;
  Passes found;
  const int copies = cold ?
      1 + kCaches / (inputs * outputs * sizeof(float)) : 1;
  Sgemm(n, inputs, outputs, passes, copies, &found);
  const memory::desc x = Any({n, inputs}), w = Any({outputs, inputs});
  const memory::desc bias = Any({outputs}), y = Any({n, outputs});
  const dnnl::inner_product_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, x, w, bias, y}, cpu);
  if (Has(passes, 'f')) {
    found['f']["oneDNN"] = Best(dnnl::inner_product_forward(forward), {
        {DNNL_ARG_SRC, Filled(forward.src_desc())},
        {DNNL_ARG_WEIGHTS, Filled(forward.weights_desc())},
        {DNNL_ARG_BIAS, Filled(forward.bias_desc())},
        {DNNL_ARG_DST, Filled(forward.dst_desc())}}, DNNL_ARG_WEIGHTS, copies);
  }
  if (Has(passes, 'd')) {
    const dnnl::inner_product_backward_data::primitive_desc desc(
        {x, w, y}, cpu, forward);
    found['d']["oneDNN"] = Best(dnnl::inner_product_backward_data(desc), {
        {DNNL_ARG_DIFF_SRC, Filled(desc.diff_src_desc())},
        {DNNL_ARG_WEIGHTS, Filled(desc.weights_desc())},
        {DNNL_ARG_DIFF_DST, Filled(desc.diff_dst_desc())}}, DNNL_ARG_WEIGHTS,
        copies);
  }
  if (Has(passes, 'w')) {
    const dnnl::inner_product_backward_weights::primitive_desc desc(
        {x, w, bias, y}, cpu, forward);
    found['w']["oneDNN"] = Best(dnnl::inner_product_backward_weights(desc), {
        {DNNL_ARG_SRC, Filled(desc.src_desc())},
        {DNNL_ARG_DIFF_WEIGHTS, Filled(desc.diff_weights_desc())},
        {DNNL_ARG_DIFF_BIAS, Filled(desc.diff_bias_desc())},
        {DNNL_ARG_DIFF_DST, Filled(desc.diff_dst_desc())}}, DNNL_ARG_DIFF_WEIGHTS,
        copies);
  }
  return found;
}

static Passes Update(const string& line) {
  std::istringstream words(line);
  int64_t count;
  words >> count;
  std::vector<float> weight(count, .1f), history(count, .1f);
  const std::vector<float> gradient(count, .1f);
  float* const w = weight.data();
  float* const h = history.data();
  const float* const g = gradient.data();
  Passes found;
  found['u']["one pass"] = Best([&] {
    #pragma omp parallel for simd
    for (int64_t i = 0; i < count; ++i) {
      h[i] = 0.9f * h[i] + 1e-5f * (g[i] + 0.0005f * w[i]);
      w[i] -= h[i];
    }
  });
  return found;
}

static void Print(const Passes& found) {
  string comma = "{";
  for (const auto& pass : found) {
    std::cout << comma << '"' << pass.first << "\": ";
    comma = "{";
    for (const auto& entry : pass.second) {
      std::cout << comma << '"' << entry.first << "\": " << entry.second;
      comma = ", ";
    }
    std::cout << "}";
    comma = ", ";
  }
  std::cout << "}" << std::endl;
}

int main() {
  string line;
  while (std::getline(std::cin, line)) {
    const size_t space = line.find(' ');
    const string kind = line.substr(0, space), rest = line.substr(space + 1);
    if (kind == "convolution") {
      Print(Convolution(rest));
    } else if (kind == "product") {
      Print(Product(rest, false));
    } else if (kind == "cold") {
      Print(Product(rest, true));
    } else if (kind == "update") {
      Print(Update(rest));
    } else {
      std::cerr << "ceilings: not a part: " << line << std::endl;
      return 1;
    }
  }
  return 0;
}
