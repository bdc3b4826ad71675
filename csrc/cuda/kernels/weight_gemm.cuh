// The weight gradient as an implicit matrix product: rows are output channels, columns taps x input channels, the inner
// dimension pixels.
//
// The columns are vectors of the same table as forward's inner dimension. A thread copies one column of vectors of x
// and one of y; the pixels of a step are found by as many threads of the block a step before they are copied, into a
// ring in shared memory. Pixels are cut into parts, so that all processors have work; parts write float32 sums, which a
// second kernel adds in their order: the result depends on the problem and the device's size, never on timing.
//
// Budget of the 128x128 tile, by four warps of 64x64, with 32 pixels a step: 16 bits take 16 KiB a stage, four stages,
// 68 KiB with the pixels; 32 bits 32 KiB, two stages, 66 KiB: two blocks a processor. FLOPs a byte copied, fragments
// and products are forward's: 65 to 75 % of an A100's rate, 35 to 45 % of an H100's by mma.sync, less the sums of
// parts, which are a tenth of the copies' bytes where a part has 20 steps. tf32 reads fragments as words, as many bytes
// in four times as many instructions: 50 to 60 % of the A100's tf32 rate.
#pragma once
#include "cuda/kernels/implicit_gemm.cuh"
#include "cuda/kernels/weight_gemm_tile.cuh"

namespace konv::cuda {

struct alignas(16) PixelPair {
  Window x;
  int y;  // offset in vectors
};

template <class T, class Tile>
struct WeightGemmMemory {
  static constexpr int kItem = int(sizeof(T));
  static constexpr int kA = Tile::kM * kItem * Tile::kPixels, kStage = kA + Tile::kN * kItem * Tile::kPixels;
  static constexpr int kRing = kStage * Tile::kStages;  // where the pixels of steps begin
  static constexpr int kBytes = kRing + Tile::kStages * Tile::kPixels * int(sizeof(PixelPair));
};

template <class T, class Tile>
class WeightGemmCopies {
 public:
  __device__ WeightGemmCopies(const WeightGemmArguments& a, int m0, int n0, int group, int first, int last)
      : a_(a), group_(group), first_(first), last_(last) {
    const int t = int(threadIdx.x), chunk = m0 / kElements + t % kAcrossA;
    has_a_ = chunk < a.y_pixels.channels;
    a_chunk_ = group * a.y_pixels.group + chunk;
    const int column = n0 / kElements + t % kAcrossB;
    tap_ = column < a.columns / kElements ? a.table[column] : TapVector{{kOutside, kOutside, kOutside}, 0};
  }

  // Finds the pixels of a step.
  __device__ __forceinline__ void find(PixelPair* pixels, int step) const {
    const int t = int(threadIdx.x);
    if (t >= Tile::kPixels) return;
    const int m = first_ + step * Tile::kPixels + t;
    PixelPair p{{{kOutside, kOutside, kOutside}, 0}, 0};
    if (m < last_) {
      p.x = window_of(a_.x_pixels, a_.y_pixels.size, a_.step, m, group_);
      const Pixel at = pixel_of(m, a_.y_pixels.size);
      p.y = at.n * a_.y_pixels.n;
#pragma unroll
      for (int i = 0; i < 3; i++) p.y += at.at[i] * a_.y_pixels.stride[i];
    }
    pixels[t] = p;
  }

  __device__ __forceinline__ void issue(char* stage, const PixelPair* pixels) const {
    const int t = int(threadIdx.x);
#pragma unroll
    for (int i = 0; i < Tile::kPixels / kRowsA; i++) {
      const int row = t / kAcrossA + i * kRowsA;
      const bool inside = has_a_ && pixels[row].x.at[0] != kOutside;
      copy_async<kChunk>(stage + pixel_chunk_at<T, Tile::kPixels>(row, t % kAcrossA),
                         a_.y + int64_t(pixels[row].y + a_chunk_) * kChunk, inside);
    }
    char* const b = stage + WeightGemmMemory<T, Tile>::kA;
#pragma unroll
    for (int i = 0; i < Tile::kPixels / kRowsB; i++) {
      const int row = t / kAcrossB + i * kRowsB;
      const Window w = pixels[row].x;
      copy_async<kChunk>(b + pixel_chunk_at<T, Tile::kPixels>(row, t % kAcrossB),
                         a_.x + int64_t(w.offset + tap_.offset) * kChunk, is_inside(a_.x_pixels, w, tap_));
    }
  }

 private:
  static constexpr int kElements = kChunk / int(sizeof(T));
  static constexpr int kAcrossA = Tile::kM / kElements, kAcrossB = Tile::kN / kElements;
  static constexpr int kRowsA = Tile::kThreads / kAcrossA, kRowsB = Tile::kThreads / kAcrossB;
  static_assert(Tile::kPixels % kRowsA == 0 && Tile::kPixels % kRowsB == 0 && Tile::kPixels <= Tile::kThreads);

  const WeightGemmArguments& a_;
  int group_, first_, last_, a_chunk_;
  bool has_a_;
  TapVector tap_;
};

// grid: tiles, columns fastest; groups; parts of the pixels.
template <class T, class Tile, template <class, class> class Sums>
__global__ void __launch_bounds__(Tile::kThreads, kBlocksOf<T, Tile>) weight_gemm(WeightGemmArguments a) {
  using Memory = WeightGemmMemory<T, Tile>;
  constexpr int kStages = Tile::kStages;
  char* const stages = shared_memory();
  PixelPair* const ring = reinterpret_cast<PixelPair*>(stages + Memory::kRing);
  const int m0 = int(blockIdx.x) / a.column_blocks * Tile::kM, n0 = int(blockIdx.x) % a.column_blocks * Tile::kN;
  const int group = int(blockIdx.y);
  const int64_t begin = int64_t(blockIdx.z) * a.pixels_a_part;
  const int first = int(begin < a.m ? begin : a.m),
            last = int(begin + a.pixels_a_part < a.m ? begin + a.pixels_a_part : a.m);
  const int count = (last - first + Tile::kPixels - 1) / Tile::kPixels;
  Sums<T, Tile> sums;
  const WeightGemmCopies<T, Tile> copies(a, m0, n0, group, first, last);
#pragma unroll 1
  for (int s = 0; s < kStages; s++) copies.find(ring + s * Tile::kPixels, s);
  __syncthreads();
#pragma unroll 1
  for (int s = 0; s < kStages - 1; s++) {
    if (s < count) copies.issue(stages + s * Memory::kStage, ring + s * Tile::kPixels);
    commit_copies();
  }
  int from = 0, to = kStages - 1;
#pragma unroll 1
  for (int step = 0; step < count; step++) {
    wait_copies<kStages - 2>();
    __syncthreads();  // this step is there; nobody reads the stage that is copied to next, nor this step's pixels
    if (step + kStages - 1 < count) copies.issue(stages + to * Memory::kStage, ring + to * Tile::kPixels);
    commit_copies();
    copies.find(ring + from * Tile::kPixels, step + kStages);
    const char* const stage = stages + from * Memory::kStage;
    sums.add(stage, stage + Memory::kA);
    from = from + 1 == kStages ? 0 : from + 1;
    to = to + 1 == kStages ? 0 : to + 1;
  }
  Sum<T>* const out =
      static_cast<Sum<T>*>(a.sums) + (int64_t(blockIdx.z) * gridDim.y + group) * int64_t(a.outputs) * a.columns;
  sums.each([&](int row, int column, const auto& pair) {  // columns are whole vectors: pairs lie inside or outside
    if (m0 + row < a.outputs && n0 + column < a.columns)
      store_vector(out + int64_t(m0 + row) * a.columns + n0 + column, pair);
  });
}

// A thread a weight, in the order of the sums.
template <class T>
__global__ void __launch_bounds__(kAddThreads) add_weight_parts(AddWeightPartsArguments a) {
  const int64_t count = int64_t(a.groups) * a.outputs * a.columns;
  const int64_t i = int64_t(blockIdx.x) * kAddThreads + threadIdx.x;
  if (i >= count) return;
  const int column = int(i % a.columns), channel = column % a.padded_channels;
  if (channel >= a.channels) return;
  const Sum<T>* const part = static_cast<const Sum<T>*>(a.sums) + i;
  Sum<T> sum = part[0];
  for (int p = 1; p < a.parts; p++) sum += part[p * count];
  int tap = column / a.padded_channels;
  int64_t offset = i / a.columns * a.w_output + channel * a.w_channel;
#pragma unroll
  for (int axis = 2; axis >= 0; axis--) {
    offset += tap % a.taps.count[axis] * a.taps.weight_step[axis];
    tap /= a.taps.count[axis];
  }
  static_cast<T*>(a.w)[offset] = narrowed<T>(sum);
}
template <class T>
void run_add_weight_parts(Queue queue, const AddWeightPartsArguments& a) {
  launch<add_weight_parts<T>>(queue, "add_weight_parts",
                              blocks_for(int64_t(a.groups) * a.outputs * a.columns, kAddThreads), {kAddThreads}, 0, a);
}

template <class T, class Tile, template <class, class> class Sums>
WeightGemmKernel weight_gemm_kernel(double efficiency) {
  return {Tile::kM, Tile::kN, Tile::kPixels, efficiency, [](Queue queue, const WeightGemmArguments& a, Dim grid) {
            launch<weight_gemm<T, Tile, Sums>>(queue, "weight_gemm", grid, {unsigned(Tile::kThreads)},
                                               WeightGemmMemory<T, Tile>::kBytes, a);
          }};
}

}  // namespace konv::cuda
