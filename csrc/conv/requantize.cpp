#include "conv/requantize.h"

#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

// Rows that follow one another become one, in both arrays.
void join_rows(Requantize& p) {
  for (int axis = 3; axis >= 2; axis--) {
    const bool follows =
        p.sum_strides[axis] == p.shape[4] * p.sum_strides[4] && p.out_strides[axis] == p.shape[4] * p.out_strides[4];
    if (p.shape[axis] > 1 && !follows) return;
    p.shape[4] *= p.shape[axis];
    p.shape[axis] = 1;
  }
}

}  // namespace

void requantize(const Requantize& problem, int64_t isa, int threads) {
  Requantize p = problem;
  join_rows(p);
  const auto kernel = kernel_table(Isa(isa)).ints.requantize_rows;
  const bool channels_last = p.sum_strides[1] == 1 && p.out_strides[1] == 1 && p.shape[1] > 1;
  // One row of the kernel at a time: the pixels of an image row, or the channels of its pixels.
  const int64_t rows = p.shape[3], columns = p.shape[4], slices = p.shape[2];
  const int64_t images = p.shape[0], channels = channels_last ? 1 : p.shape[1];
  if (double(images) * double(p.shape[1]) * double(slices * rows * columns) < 65536) threads = 1;
  parallel_for(images * channels * slices, threads, [&](int64_t task, int) {
    const int64_t z = task % slices, k = task / slices % channels, n = task / slices / channels;
    const int32_t* src = p.sums + n * p.sum_strides[0] + k * p.sum_strides[1] + z * p.sum_strides[2];
    uint8_t* dst = p.out + n * p.out_strides[0] + k * p.out_strides[1] + z * p.out_strides[2];
    RequantizeRows r{};
    r.row_scale = p.scale[k];
    r.zero = p.zero;
    r.low = p.dtype == DType::i8 ? -128 : 0, r.high = p.dtype == DType::i8 ? 127 : 255;
    for (int64_t h = 0; h < rows; h++, src += p.sum_strides[3], dst += p.out_strides[3]) {
      r.src = src, r.dst = dst;
      if (channels_last) {
        r.rows = columns, r.cols = p.shape[1], r.lane_scale = p.scale;
        r.src_ld = p.sum_strides[4], r.dst_ld = p.out_strides[4];
      } else if (p.sum_strides[4] == 1 && p.out_strides[4] == 1) {
        r.rows = 1, r.cols = columns;
      } else {
        r.rows = columns, r.cols = 1;
        r.src_ld = p.sum_strides[4], r.dst_ld = p.out_strides[4];
      }
      kernel(r);
    }
  });
}

}  // namespace konv
