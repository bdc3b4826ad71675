// Arguments of the kernels in elementwise.inl.h that take many.
#pragma once
#include <cstdint>

namespace konv {

// A row's loss is weight * log(sum) + rest: the logarithm is the caller's, since code of an ISA level calls no library.
struct CrossEntropyRow {
  double weight, sum, rest;
};

// Loss of each row, -sum over c of target[r][c] * log softmax(logits[r])[c], and its gradient times `scale`.
// Rows are `cols` long and contiguous; cols > 0. `grad` is scratch too: it is needed always and overlaps nothing.
template <class T>
struct CrossEntropy {
  const T* logits;
  const int64_t* labels;  // one a row, within [0, cols); or null, and then
  const T* targets;       // one row for each of logits
  T* grad;
  T scale;
  int64_t rows, cols;
  CrossEntropyRow* loss;
};

// m += (g - m) * mean_rate; v += (g^2 - v) * square_rate; value -= rate * m / (sqrt(v) + epsilon)
template <class T>
struct AdamStep {
  T* value;
  const T* grad;
  T *mean, *square;
  T rate, mean_rate, square_rate, epsilon;
};

// velocity = momentum * velocity - rate * grad; value += velocity, or with Nesterov's look ahead
// value += momentum * velocity - rate * grad. A null velocity stands for no momentum.
template <class T>
struct SgdStep {
  T* value;
  const T* grad;
  T* velocity;
  T rate, momentum;
  bool nesterov;
};

}  // namespace konv
