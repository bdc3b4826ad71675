#include "cuda/conv/implicit_gemm_operands.h"

#include <algorithm>

#include "cuda/device.h"
#include "cuda/numbers.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = 256, kElementsOfBlock = 1024;
constexpr int kNowhere = -(1 << 30);

struct CopyArguments {
  ImageTensor from;
  const void* data;
  void* to;
  int padded;         // channels of a group in the copy
  int pixels_across;  // of a block's elements
  int channel_blocks;
};

// A block takes a rectangle of pixels x channels of one image through shared memory: neighbouring threads read what is
// next to each other in the source, and write what is so in the copy.
template <class T>
__global__ void __launch_bounds__(kThreads) copy_channels_last(CopyArguments a) {
  T* const shared = reinterpret_cast<T*>(shared_memory());
  const ImageTensor& f = a.from;
  const int across = a.pixels_across, channels = kElementsOfBlock / across, pitch = across + 1;
  const int64_t pixels = f.size[0] * f.size[1] * f.size[2], width = f.groups * a.padded;
  const int64_t n = blockIdx.x / unsigned(a.channel_blocks), c0 = blockIdx.x % unsigned(a.channel_blocks) * channels;
  const bool by_channel = f.c_stride == 1;
  for (int64_t p0 = int64_t(blockIdx.y) * across; p0 < pixels; p0 += int64_t(gridDim.y) * across) {
    for (int i = int(threadIdx.x); i < kElementsOfBlock; i += kThreads) {
      const int c = by_channel ? i % channels : i / across, x = by_channel ? i / channels : i % across;
      const int64_t pixel = p0 + x, group = (c0 + c) / a.padded, channel = (c0 + c) % a.padded;
      T value{};
      if (pixel < pixels && group < f.groups && channel < f.channels)
        value = static_cast<const T*>(
            a.data)[n * f.n_stride + (group * f.channels + channel) * f.c_stride +
                    pixel / (f.size[1] * f.size[2]) * f.stride[0] + pixel / f.size[2] % f.size[1] * f.stride[1] +
                    pixel % f.size[2] * f.stride[2]];
      shared[c * pitch + x] = value;
    }
    __syncthreads();
    for (int i = int(threadIdx.x); i < kElementsOfBlock; i += kThreads) {
      const int c = i % channels, x = i / channels;
      if (p0 + x < pixels && c0 + c < width)
        static_cast<T*>(a.to)[(n * pixels + p0 + x) * width + c0 + c] = shared[c * pitch + x];
    }
    __syncthreads();
  }
}

template <class T>
void copy(Queue queue, CopyArguments a) {
  const int64_t width = a.from.groups * a.padded, pixels = a.from.size[0] * a.from.size[1] * a.from.size[2];
  int channels = 4;
  while (channels < 32 && channels < width) channels *= 2;
  a.pixels_across = kElementsOfBlock / channels;
  a.channel_blocks = int((width + channels - 1) / channels);
  const int64_t rows = std::min<int64_t>((pixels + a.pixels_across - 1) / a.pixels_across, 65535);
  launch<copy_channels_last<T>>(queue, "copy_channels_last", {unsigned(a.from.n * a.channel_blocks), unsigned(rows)},
                                {kThreads}, channels * (a.pixels_across + 1) * int64_t(sizeof(T)), a);
}

struct TableArguments {
  TapGrid taps;
  PixelVectors pixels;
  int count;
  TapVector* table;
};

__global__ void __launch_bounds__(kThreads) write_tap_table(TableArguments a) {
  const int i = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (i >= a.count) return;
  const TapGrid& t = a.taps;
  int tap = i / a.pixels.channels;
  TapVector v{{kNowhere, kNowhere, kNowhere}, 0};
  if (tap < t.taps()) {
    v.offset = i % a.pixels.channels;
    for (int axis = 2; axis >= 0; axis--) {
      v.at[axis] = t.at[axis] + tap % t.count[axis] * t.step[axis];
      v.offset += v.at[axis] * a.pixels.stride[axis];
      tap /= t.count[axis];
    }
  }
  a.table[i] = v;
}

// A thread an element.
template <class T, bool Rounds>
__global__ void __launch_bounds__(kThreads) pack_gemm_weights(PackedWeights a) {
  const int64_t row_elements = a.pitch / int64_t(sizeof(T)), rows = int64_t(a.groups) * a.outputs;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < rows * row_elements;
       i += int64_t(gridDim.x) * kThreads) {
    const int64_t row = i / row_elements, k = i % row_elements;
    const int channel = int(k % a.padded_channels);
    int64_t tap = k / a.padded_channels;
    T value{};
    if (tap < a.taps.taps() && channel < a.channels) {
      int64_t offset = a.taps.weight + row / a.outputs * a.w_group + row % a.outputs * a.w_output;
      for (int axis = 2; axis >= 0; axis--) {
        offset += tap % a.taps.count[axis] * a.taps.weight_step[axis];
        tap /= a.taps.count[axis];
      }
      value = static_cast<const T*>(a.from)[offset + channel * a.w_channel];
      if constexpr (Rounds) value = bits_as_float(to_tf32(value));
    }
    static_cast<T*>(a.to)[i] = value;
  }
}

template <class T, bool Rounds>
void pack(Queue queue, const PackedWeights& w) {
  launch<pack_gemm_weights<T, Rounds>>(
      queue, "pack_gemm_weights",
      blocks_for(int64_t(w.groups) * w.outputs * w.pitch / int64_t(sizeof(T)), kThreads, 1 << 16), {kThreads}, 0, w);
}

}  // namespace

ChannelsLast::ChannelsLast(const ImageTensor& t, int item, int vector_bytes)
    : tensor_(t), item_(item), vector_bytes_(vector_bytes) {
  const int64_t v = vector_bytes / item, vectors = (t.channels + v - 1) / v;
  copied_ = t.c_stride != 1 || t.channels % v != 0 || (t.n > 1 && t.n_stride % v != 0);
  for (int i = 0; i < 3; i++) copied_ = copied_ || (t.size[i] > 1 && t.stride[i] % v != 0);
  int64_t stride[3], n;
  if (copied_) {
    stride[2] = t.groups * vectors;
    stride[1] = stride[2] * t.size[2];
    stride[0] = stride[1] * t.size[1];
    n = stride[0] * t.size[0];
    count_ = n * t.n;
  } else {
    for (int i = 0; i < 3; i++) stride[i] = t.size[i] > 1 ? t.stride[i] / v : 0;
    n = t.n > 1 ? t.n_stride / v : 0;
    count_ = 0;
  }
  first_ = 0, last_ = t.groups * vectors;
  const auto reach = [&](int64_t size, int64_t step) { (step < 0 ? first_ : last_) += (size - 1) * step; };
  reach(t.n, n);
  for (int i = 0; i < 3; i++) reach(t.size[i], stride[i]);
  pixels_ = {{int(t.size[0]), int(t.size[1]), int(t.size[2])},
             int(n),
             {int(stride[0]), int(stride[1]), int(stride[2])},
             int(vectors),
             int(vectors)};
}

const char* ChannelsLast::on(Queue queue, const void* data, char* scratch, Memory& moved) const {
  if (copied_) {
    const CopyArguments a{tensor_, data, scratch, pixels_.channels * vector_bytes_ / item_, 0, 0};
    item_ == 2 ? copy<uint16_t>(queue, a) : item_ == 4 ? copy<uint32_t>(queue, a) : copy<uint64_t>(queue, a);
    return scratch;
  }
  const char* const bytes = static_cast<const char*>(data);
  if (reinterpret_cast<uintptr_t>(bytes) % 16 == 0) return bytes;
  moved = Memory(queue, (last_ - first_) * vector_bytes_);
  copy_on_device(queue, moved.data(), bytes + first_ * vector_bytes_, (last_ - first_) * vector_bytes_);
  return moved.data() - first_ * vector_bytes_;
}

TapGrid tap_grid(const TapProblem& p) {
  TapGrid g{};
  if (p.taps.empty()) return g;
  const Tap& first = p.taps[0];
  const int64_t next[3] = {p.grid[1] * p.grid[2], p.grid[2], 1};
  g.weight = first.weight;
  for (int i = 0; i < 3; i++) {
    g.count[i] = int(p.grid[i]);
    g.at[i] = int(first.at[i]);
    if (p.grid[i] == 1) continue;
    const Tap& second = p.taps[size_t(next[i])];
    g.step[i] = int(second.at[i] - first.at[i]);
    g.weight_step[i] = second.weight - first.weight;
  }
  return g;
}

TapGrid all_taps(const ConvProblem& p) {
  TapGrid g{};
  for (int i = 0; i < 3; i++) {
    g.count[i] = int(p.kernel[i]);
    g.at[i] = int(-p.pad[i]);
    g.step[i] = int(p.dilation[i]);
    g.weight_step[i] = p.ws[2 + i];
  }
  return g;
}

void write_table(Queue queue, const TapGrid& taps, const PixelVectors& pixels, int count, TapVector* table) {
  launch<write_tap_table>(queue, "write_tap_table", blocks_for(count, kThreads), {kThreads}, 0,
                          TableArguments{taps, pixels, count, table});
}

void pack_weights(Queue queue, int item, bool rounds, const PackedWeights& w) {
  if (item == 2) return pack<uint16_t, false>(queue, w);
  if (item == 8) return pack<uint64_t, false>(queue, w);
  rounds ? pack<float, true>(queue, w) : pack<float, false>(queue, w);
}

}  // namespace konv::cuda
