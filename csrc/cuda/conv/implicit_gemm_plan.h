// What the plans of both matrix-product forms decide alike: kernels, tiles, parts of the inner dimension.
#pragma once
#include <memory>

#include "core/algorithm.h"
#include "cuda/conv/implicit_gemm.h"

namespace konv::cuda {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t aligned(int64_t bytes) { return ceil_div(bytes, 512) * 512; }

// Of the element type and precision.
const GemmKernels& gemm_kernels(const ConvProblem& p);
bool is_on_tensor_cores(const ConvProblem& p);
inline int64_t item_size(const ConvProblem& p) { return dtype_size(p.dtype); }

// A product of (groups x) rows x columns sums over so many steps.
struct GemmSize {
  int64_t rows, columns, groups, steps;
};
struct TileChoice {
  int kernel = -1, parts = 1;  // kernel: index into the list; -1 where none fits what was forced
  int64_t blocks_down = 0, blocks_across = 0;
};
// Of the tiles with these sizes and efficiencies the one that ends first by an estimate: the blocks of a processor
// share it, a block has a few steps' time of its own, and parts have their sums written and read once more.
struct TileSize {
  int rows, columns;
  double efficiency;
  bool is_allowed;
};
// Whether the problem's device has products of warpgroups. The simulator has, but takes them where a tile is forced
// alone: they are an H100's.
bool has_warpgroups(const ConvProblem& p, int rows, int columns);
TileChoice choose_tile(const std::vector<TileSize>& tiles, const GemmSize& size, bool always_parts,
                       const ConvProblem& p);

std::unique_ptr<ConvPlan> make_weight_gemm_plan(const ConvProblem& p);
std::string weight_gemm_refusal(const ConvProblem& p);

}  // namespace konv::cuda
