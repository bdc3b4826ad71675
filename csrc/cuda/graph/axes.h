// Loops over several arrays at once: axes in the order of the first one's memory, as few as strides allow.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "graph/program.h"

namespace konv::cuda {

struct Axes {
  std::vector<int64_t> size;                 // outermost first, at least one
  std::vector<std::vector<int64_t>> stride;  // [operand][axis], in elements

  int64_t elements() const {
    int64_t n = 1;
    for (int64_t s : size) n *= s;
    return n;
  }
};

// Axes are joined where one step walks through both for every operand.
inline Axes joined_axes(const std::vector<konv::Operand>& operands) {
  const konv::Operand& first = operands[0];
  std::vector<int> order;
  for (int i = 0; i < first.rank; i++)
    if (first.shape[i] != 1) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return std::abs(first.strides[a]) > std::abs(first.strides[b]); });
  Axes axes;
  axes.stride.resize(operands.size());
  for (int axis : order) {
    bool joins = !axes.size.empty();
    for (size_t i = 0; joins && i < operands.size(); i++)
      joins = axes.stride[i].back() == operands[i].strides[axis] * first.shape[axis];
    if (!joins) axes.size.push_back(1);
    axes.size.back() *= first.shape[axis];
    for (size_t i = 0; i < operands.size(); i++) {
      if (!joins) axes.stride[i].push_back(0);
      axes.stride[i].back() = operands[i].strides[axis];
    }
  }
  if (axes.size.empty()) {
    axes.size.push_back(1);
    for (auto& stride : axes.stride) stride.push_back(1);
  }
  return axes;
}

}  // namespace konv::cuda
