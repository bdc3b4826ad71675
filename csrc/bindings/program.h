// A program in the making, as Python sees it: what the files that add steps to it share.
#pragma once
#include <optional>
#include <vector>

#include "bindings/program_args.h"

namespace konv {

// The bytes of a buffer; -1 where they are only known when it runs.
struct ProgramObject {
  ProgramObject(int64_t arena_bytes, int64_t strand_bytes, int threads)
      : program(arena_bytes, strand_bytes, threads), bytes{arena_bytes, strand_bytes} {}
  Program program;
  std::vector<int64_t> bytes;

  Operand operand(const Place& place, int rank = -1) const { return operand_at(bytes, place, rank); }
  Operand optional(const std::optional<Place>& place, int rank = -1) const {
    return place ? operand(*place, rank) : Operand{};
  }
};

void add_training_steps(pybind11::class_<ProgramObject>& program);

}  // namespace konv
