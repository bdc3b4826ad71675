#include "cuda/conv/implicit_gemm_plan.h"

#include <algorithm>
#include <atomic>

#include "conv/conv.h"

namespace konv::cuda {

namespace {

// In steps of a block: what it does before its first product and after its last.
constexpr double kOwnSteps = 4;
// Of a second kernel, and of a byte of partial sums: sums times steps of one processor.
constexpr double kSecondKernel = 80e3, kByteOfSums = 0.6;
constexpr int64_t kMostParts = 64, kLeastSteps = 4;

std::atomic<int> forced_rows, forced_columns, forced_parts;

}  // namespace

void force_gemm_tile(int rows, int columns, int parts) {
  forced_rows = rows, forced_columns = columns, forced_parts = parts;
  clear_plan_cache();
}

bool is_on_tensor_cores(const ConvProblem& p) {
  return p.dtype != DType::f64 && (p.dtype != DType::f32 || p.precision != Precision::strict);
}

const GemmKernels& gemm_kernels(const ConvProblem& p) {
  switch (p.dtype) {
    case DType::f16:
      return float16_gemm_kernels();
    case DType::bf16:
      return bfloat16_gemm_kernels();
    case DType::f64:
      return float64_gemm_kernels();
    default:
      return p.precision == Precision::strict ? strict_gemm_kernels() : tf32_gemm_kernels();
  }
}

bool has_warpgroups(const ConvProblem& p, int rows, int columns) {
#if defined(KONV_CUDA_SIMULATOR)
  (void)p;
  return rows == forced_rows && columns == forced_columns;
#else
  (void)rows, (void)columns;
  const DeviceInfo& device = device_info(int(p.isa));
  return device.major == 9 && device.minor == 0;
#endif
}

TileChoice choose_tile(const std::vector<TileSize>& tiles, const GemmSize& s, bool always_parts, const ConvProblem& p) {
  const double processors = double(device_info(int(p.isa)).processors);
  const int64_t bytes_a_part = s.rows * s.columns * s.groups * sum_size(p.dtype);
  const bool is_there = std::any_of(tiles.begin(), tiles.end(), [](const TileSize& t) {
    return t.is_allowed && t.rows == forced_rows && t.columns == forced_columns;
  });
  TileChoice best;
  double least = 0;
  for (size_t i = 0; i < tiles.size(); i++) {
    const TileSize& t = tiles[i];
    if (!t.is_allowed || (is_there && (t.rows != forced_rows || t.columns != forced_columns))) continue;
    const int64_t down = ceil_div(s.rows, t.rows), across = ceil_div(s.columns, t.columns);
    int64_t most = std::clamp<int64_t>(s.steps / kLeastSteps, 1, kMostParts);
    most = std::clamp<int64_t>(p.max_workspace / std::max<int64_t>(1, bytes_a_part), 1, most);
    const int64_t forced = std::min<int64_t>(forced_parts, std::max<int64_t>(1, s.steps));
    for (int64_t parts = forced ? forced : 1; parts <= (forced ? forced : most); parts++) {
      const double waves = double(ceil_div(down * across * s.groups * parts, int64_t(processors)));
      double time = waves * (double(ceil_div(s.steps, parts)) + kOwnSteps) * t.rows * t.columns / t.efficiency;
      if (parts > 1 || always_parts)
        time += kSecondKernel + kByteOfSums * double(parts * bytes_a_part) * 2 / processors;
      if (best.kernel < 0 || time < least) least = time, best = {int(i), int(parts), down, across};
    }
  }
  return best;
}

}  // namespace konv::cuda
