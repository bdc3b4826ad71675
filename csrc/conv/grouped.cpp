// Groups of few channels. The dense algorithms leave lanes or rows of their tiles empty there; these kernels are made
// for several groups side by side in the lanes, or for pixels in the lanes and few outputs.
#include "conv/grouped_pixels.h"

namespace konv {

namespace {

std::string grouped_supports(const ConvProblem& p) {
  if (p.groups < 2) return "one group";
  if (p.is_depthwise() && p.k == p.c) return "depthwise";
  if (fits_grouped_pixels(p)) return "";
  return "neither channels-last data with narrow groups nor planes with small kernels";
}

}  // namespace

extern const Algorithm grouped_algorithm;
const Algorithm grouped_algorithm = {"grouped", grouped_supports, grouped_pixels_cost, make_grouped_pixels_plan};

}  // namespace konv
