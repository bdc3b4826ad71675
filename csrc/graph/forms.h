// The forms that an operand's elements may have where numbers are meant.
#pragma once
#include "graph/program.h"

namespace konv {

// Whether bytes have a scale, or elements need none.
inline bool stands_for_numbers(const Operand& o) {
  return is_byte(o.dtype) ? o.scale > 0 : o.dtype == DType::f32 || o.dtype == DType::bf16;
}

}  // namespace konv
