// Groups of few channels. The dense algorithms leave lanes or rows of their tiles empty there; here several groups lie
// side by side in the lanes.
#include "conv/grouped_pixels.h"

namespace konv {

namespace {

std::string grouped_supports(const ConvProblem& p) {
  if (p.groups < 2) return "one group";
  if (p.is_depthwise() && (p.k == p.c || p.xs[1] != 1)) return "depthwise";
  if (fits_grouped_pixels(p)) return "";
  return "groups too wide for the lanes, or the kernel";
}

}  // namespace

extern const Algorithm grouped_algorithm;
const Algorithm grouped_algorithm = {"grouped", grouped_supports, grouped_pixels_cost, make_grouped_pixels_plan, true};

}  // namespace konv
