// Choosing by the clock: the candidates of a problem are timed on scratch arrays when it is first met. Times are
// remembered in a table, in memory or in a file beside; a table's number is the setting `autotune`, 0 is none.
//
// Problems that differ in what costs every algorithm the same (bias, residual, activation) or in unusual strides alone
// share their times.
#pragma once
#include <string>
#include <vector>

#include "core/problem.h"

namespace konv {

struct TimedAlgorithm {
  std::string name;
  double seconds;
};

// The number of the table that is remembered in this file, or, for an empty path, of the one in memory alone.
int64_t autotune_table(const std::string& path);
std::string autotune_path(int64_t table);

// Times of the problem's candidates (indices of algorithms, the cheapest first), from the table or measured now; those
// that are far from the best are missing. None at all where there is no memory to measure in. Throws where the file
// cannot be written; the table has the times nevertheless.
std::vector<TimedAlgorithm> algorithm_times(const ConvProblem& problem, const std::vector<int>& candidates);

// What names a problem in tables and files, and the processor in files.
std::string autotune_key(const ConvProblem& problem);
// Enters times that a file holds, where the table has none.
void remember_times(int64_t table, const std::string& key, const std::vector<TimedAlgorithm>& times);

}  // namespace konv
