// konv.explain's call, of the CPU's convolutions and of devices'.
#include <algorithm>

#include "bindings/conv.h"
#include "bindings/conv_args.h"

namespace konv {

namespace {

std::vector<Explanation> explained(const ConvProblem& p) {
  ReleaseGil release(true);
  return explain_conv(p);
}

// input_shape, weight_shape, stride, padding, dilation, groups, padding_mode, layout, algorithm, threads,
// max_workspace, dtype, direction, plan, output_padding
PyObject* explain(int spatial, PyObject* const* a) {
  Common c = common_args(spatial, a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10]);
  c.input_name = "input_shape", c.weight_name = "weight_shape";
  const View xv = size_arg(a[0], c.layout, "input_shape"), wv = size_arg(a[1], Layout{spatial, false}, "weight_shape");
  Direction direction = Direction::forward;
  if (is_string(a[12], "transpose")) {
    set_transposed(c, a[14]);
    if (c.padding_mode != PaddingMode::zeros)
      value_error("padding_mode: transposed convolutions take 'zeros' alone, got %R", a[6]);
  } else {
    int64_t none[3];
    spatial_arg(a[14], "output_padding", spatial, 0, none);
    if (*std::max_element(none + 3 - spatial, none + 3) > 0)
      value_error("output_padding: transposed convolutions alone take one, got %R", a[14]);
  }
  if (is_string(a[12], "input") || c.transposed) direction = Direction::input_gradient;
  if (is_string(a[12], "weight")) direction = Direction::weight_gradient;
  ConvProblem p = problem_of(c, direction, dtype_arg(a[11]));
  p.weights_ready = bool_arg(a[13], "plan");
  set_operands(p, c, xv, wv);
  geometry(p, c);
  contiguous_operands(p, c, wv);
  Ref list(PyList_New(0));
  if (!list.get()) throw PythonError();
  for (const Explanation& e : explained(p)) {
    Ref row(
        Py_BuildValue("(ssddO)", e.name.c_str(), e.reason.c_str(), e.cost, e.seconds, e.chosen ? Py_True : Py_False));
    if (!row.get() || PyList_Append(list.get(), row.get()) < 0) throw PythonError();
  }
  return Py_BuildValue("(Ods)", list.get(), p.flops(), machine_of(p).c_str());
}

template <int Spatial>
PyObject* explain(PyObject* const* a) {
  return explain(Spatial, a);
}

}  // namespace

PyMethodDef conv_explain_methods[] = {entry<15, explain<1>, "explain_conv1d">(),
                                      entry<15, explain<2>, "explain_conv2d">(),
                                      entry<15, explain<3>, "explain_conv3d">(),
                                      {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
