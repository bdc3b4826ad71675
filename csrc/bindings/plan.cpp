// konv.ConvPlan: a convolution whose weights are packed once. A call with arrays like those of an earlier one (type,
// sizes, strides) goes straight to its plan; any other is checked as konv.conv2d checks it and leaves an entry for the
// next. All of this happens with the GIL held; calls that run without it, or meanwhile other weights are set, keep what
// they use by a shared pointer.
#include "bindings/plan.h"

#include <structmember.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "bindings/conv_args.h"
#include "conv/prepared.h"

namespace konv {

namespace {

constexpr size_t kEntries = 16;  // concrete calls that a plan remembers

// Sizes and strides in bytes, as NumPy has them.
struct Form {
  int ndim;
  npy_intp shape[5], strides[5];
  explicit Form(PyArrayObject* a) : ndim(PyArray_NDIM(a)) {
    std::copy_n(PyArray_DIMS(a), ndim, shape);
    std::copy_n(PyArray_STRIDES(a), ndim, strides);
  }
  // The stride of an axis of one element means nothing.
  bool fits(PyArrayObject* a) const {
    if (PyArray_NDIM(a) != ndim) return false;
    for (int i = 0; i < ndim; i++)
      if (PyArray_DIM(a, i) != shape[i] || (shape[i] != 1 && PyArray_STRIDE(a, i) != strides[i])) return false;
    return true;
  }
};

struct Entry {
  Form x, y;
  bool has_residual;
  bool makes_result, channels_last_memory;  // whether y was allocated by the call, and how
  bool by_copy = false;                     // the prepared plan is one for contiguous arrays
  bool large = false;                       // other threads should run meanwhile
  std::shared_ptr<const PreparedPlan> prepared = nullptr;

  bool fits(PyArrayObject* input, PyArrayObject* out, PyArrayObject* residual) const {
    return has_residual == (residual != nullptr) && x.fits(input) && (out ? y.fits(out) : makes_result) &&
           (!residual || y.fits(residual));
  }
};

// One set of weights, with everything that was prepared from it.
struct State {
  std::shared_ptr<const WeightCopy> weights;          // null where all that will be wanted is packed
  std::shared_ptr<const PreparedPlan> contiguous[2];  // of a plan without open sizes; [1] has a residual
  std::vector<std::shared_ptr<const Entry>> entries;  // the latest first

  PreparedPlans prepared() const {
    PreparedPlans all;
    for (const auto& p : contiguous)
      if (p) all.push_back(p);
    for (const auto& e : entries) all.push_back(e->prepared);
    return all;
  }
};

struct Plan {
  ConvProblem problem;  // for contiguous arrays; input and output sizes mean nothing while one is open
  Common common;
  View size;    // of the input
  View weight;  // contiguous
  bool open;
  bool converts;  // weights of another type
  Ref descr;
  std::shared_ptr<State> state;
  std::shared_ptr<const ConvPlan> latest;
};

struct PlanObject {
  PyObject base;
  vectorcallfunc call;
  Plan* plan;
};

Plan& plan_of(PyObject* self) { return *reinterpret_cast<PlanObject*>(self)->plan; }

struct Arguments {
  PyObject *x, *out = Py_None, *residual = Py_None;
};
PyObject *out_name, *residual_name;  // interned, as the interpreter passes them

Arguments call_args(PyObject* const* args, size_t nargsf, PyObject* names) {
  const Py_ssize_t count = PyVectorcall_NARGS(nargsf);
  if (count != 1) type_error("a plan takes one positional argument, the input, but %zd were given", count);
  Arguments a{args[0]};
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    if (name == out_name || is_string(name, "out"))
      a.out = args[1 + i];
    else if (name == residual_name || is_string(name, "residual"))
      a.residual = args[1 + i];
    else
      type_error("a plan takes the keyword arguments 'out' and 'residual', got %R", name);
  }
  return a;
}

// The caller's residual has the strides of y or has been copied there.
void run_by_copy(const Entry& e, PyArrayObject* x, PyArrayObject* y, PyArrayObject* residual, int type) {
  Ref input(PyArray_NewCopy(x, NPY_CORDER)), result(PyArray_SimpleNew(e.y.ndim, e.y.shape, type));
  if (!input.get() || !result.get()) throw PythonError();
  if (residual && PyArray_CopyInto(result.array(), residual) < 0) throw PythonError();
  void* data = PyArray_DATA(result.array());
  {
    ReleaseGil release(e.large);
    e.prepared->run(PyArray_DATA(input.array()), data, residual ? data : nullptr);
  }
  if (PyArray_CopyInto(y, result.array()) < 0) throw PythonError();
}

void run(const Plan& plan, const Entry& e, PyArrayObject* x, PyArrayObject* y, PyArrayObject* residual) {
  if (e.by_copy) return run_by_copy(e, x, y, residual, type_number(plan.problem.dtype));
  ReleaseGil release(e.large);
  e.prepared->run(PyArray_DATA(x), PyArray_DATA(y), residual ? PyArray_DATA(residual) : nullptr);
}

// Puts entry i first.
std::shared_ptr<const Entry> use(Plan& plan, size_t i) {
  auto& entries = plan.state->entries;
  if (i > 0) {
    std::rotate(entries.begin(), entries.begin() + std::ptrdiff_t(i), entries.begin() + std::ptrdiff_t(i) + 1);
    plan.latest = entries[0]->prepared->plan;
  }
  return entries[0];
}

Ref new_result(const Plan& plan, const Entry& e) {
  const DType dtype = plan.problem.dtype;
  if (e.channels_last_memory) {
    int64_t shape[5];
    for (int i = 0; i < 5; i++) {
      const int p = plan.common.layout.position(i, plan.size.batched);
      shape[i] = p < 0 ? 1 : e.y.shape[p];
    }
    return new_array(dtype, shape, plan.common.layout, plan.size.batched, true);
  }
  return contiguous_array(e.y.ndim, e.y.shape, dtype);
}

// Null where the arguments are not like those of an earlier call.
PyObject* repeated_call(Plan& plan, const Arguments& a) {
  const auto array = [&](PyObject* object, PyArrayObject*& to) {
    to = reinterpret_cast<PyArrayObject*>(object);
    return PyArray_Check(object) && reinterpret_cast<PyObject*>(PyArray_DESCR(to)) == plan.descr.get() &&
           PyArray_ISALIGNED(to);
  };
  PyArrayObject *x = nullptr, *out = nullptr, *residual = nullptr;
  if (!array(a.x, x)) return nullptr;
  if (a.out != Py_None && !(array(a.out, out) && PyArray_ISWRITEABLE(out) && !share_memory(out, a.x))) return nullptr;
  if (a.residual != Py_None) {
    if (!array(a.residual, residual)) return nullptr;
    if (out && PyArray_DATA(out) != PyArray_DATA(residual) && share_memory(out, a.residual)) return nullptr;
  }
  for (size_t i = 0; i < plan.state->entries.size(); i++) {
    if (!plan.state->entries[i]->fits(x, out, residual)) continue;
    const std::shared_ptr<const Entry> e = use(plan, i);
    Ref y = out ? Ref(Py_NewRef(a.out)) : new_result(plan, *e);
    run(plan, *e, x, y.array(), residual);
    return y.release();
  }
  return nullptr;
}

void check_size(const Plan& plan, const Array& x, const View& v) {
  bool same = v.batched == plan.size.batched;
  for (int i = 0; i < 5; i++) same = same && (plan.size.shape[i] == kOpen || plan.size.shape[i] == v.shape[i]);
  if (!same)
    value_error("input: expected shape %s, as the plan was made for, got %s",
                view_text(plan.size.shape, plan.common.layout, plan.size.batched).c_str(),
                shape_text(x.ndim, x.shape).c_str());
}

std::shared_ptr<const Entry> add_entry(Plan& plan, Entry e, const ConvProblem& p) {
  const std::shared_ptr<State> state = plan.state;
  {
    const PreparedPlans known = state->prepared();
    ReleaseGil release(true);
    e.prepared = prepare_problem(p, state->weights, known);
  }
  if (!e.prepared) e.by_copy = true, e.prepared = state->contiguous[p.has_residual];
  e.large = p.flops() > kTinyFlops;
  plan.latest = e.prepared->plan;
  if (state->entries.size() == kEntries) state->entries.pop_back();
  return *state->entries.insert(state->entries.begin(), std::make_shared<const Entry>(std::move(e)));
}

PyObject* first_call(Plan& plan, const Arguments& a) {
  const Array x = array_arg(a.x, "input", kFloats);
  same_dtype(x, "input", plan.problem.dtype, "the plan's weight");
  const Layout& layout = plan.common.layout;
  const View v = view_of(x, layout, "input");
  check_size(plan, x, v);
  ConvProblem p = plan.problem;
  set_operands(p, plan.common, v, plan.weight);
  geometry(p, plan.common);
  Result result = result_args(p, layout, v, a.out, a.residual, {a.x});
  if (is_empty(p)) return result.out.release();
  PyArrayObject *y = result.out.array(), *residual = nullptr;
  if (result.residual) residual = result.residual == PyArray_DATA(y) ? y : reinterpret_cast<PyArrayObject*>(a.residual);
  std::shared_ptr<const Entry> entry;
  for (size_t i = 0; i < plan.state->entries.size() && !entry; i++)
    if (plan.state->entries[i]->fits(x.object, y, residual)) entry = use(plan, i);
  if (!entry)
    entry = add_entry(plan,
                      {.x = Form(x.object),
                       .y = Form(y),
                       .has_residual = residual != nullptr,
                       .makes_result = a.out == Py_None,
                       .channels_last_memory = !layout.channels_last && is_channels_last_memory(v)},
                      p);
  run(plan, *entry, x.object, y, residual);
  return result.out.release();
}

PyObject* call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* names) {
  return guarded([&] {
    try {
      const Arguments a = call_args(args, nargsf, names);
      PyObject* result = repeated_call(plan_of(self), a);
      return result ? result : first_call(plan_of(self), a);
    } catch (const Delegate&) {
      return delegate(self, args, nargsf, names);
    }
  });
}

void copy_array(const Array& from, DType dtype, char* to) {
  Ref view(PyArray_SimpleNewFromData(from.ndim, const_cast<npy_intp*>(from.shape), type_number(dtype), to));
  if (!view.get() || PyArray_CopyInto(view.array(), from.object) < 0) throw PythonError();
}

// The plans that run on contiguous arrays, with and without a residual; weights stay where plans read them.
void prepare_contiguous(State& state, const ConvProblem& problem) {
  ReleaseGil release(true);
  bool reads = false;
  for (int residual = 0; residual < 2; residual++) {
    ConvProblem p = problem;
    p.has_residual = residual;
    if (residual && !supports_problem(p)) continue;  // a call will say why
    state.contiguous[residual] = prepare_problem(p, state.weights, state.prepared());
    reads = reads || state.contiguous[residual]->weights;
  }
  if (!reads) state.weights = nullptr;
}

void set_weights(Plan& plan, const Array& w, PyObject* bias) {
  const ConvProblem& p = plan.problem;
  auto copy = std::make_shared<WeightCopy>(p);
  if (!plan.converts) same_dtype(w, "weight", p.dtype, "the plan");
  if (p.has_bias) {
    const Array b = bias_view(bias, p);
    if (!plan.converts) same_dtype(b, "bias", p.dtype, "weight");
    copy_array(b, p.dtype, copy->bias());
  }
  copy_array(w, p.dtype, copy->w());
  auto state = std::make_shared<State>();
  state->weights = std::move(copy);
  if (!plan.open) prepare_contiguous(*state, p);
  if (!plan.open) plan.latest = state->contiguous[0]->plan;
  plan.state = std::move(state);
}

// The whole geometry is checked now, with the least that open sizes may be.
void set_problem(Plan& plan, const View& wv, PyObject* activation) {
  ConvProblem& p = plan.problem;
  View v = plan.size;
  plan.open = false;
  Common c = plan.common;
  c.input_name = "input_shape";
  for (int i = 0; i < 5; i++)
    if (v.shape[i] == kOpen) {
      plan.open = true;
      const int a = i - 2;
      if (i == 0)
        v.shape[i] = 1;
      else if (c.transposed)
        v.shape[i] = 2 + (c.padding.before[a] + c.padding.after[a]) / c.stride[a];
      else
        v.shape[i] = std::max({c.dilation[a] * (wv.shape[i] - 1), c.padding.before[a], c.padding.after[a]}) + 1;
    }
  v.shape[0] = std::max<int64_t>(1, v.shape[0]);
  contiguous_strides(v.shape, c.layout.channels_last, v.strides);
  plan.weight = wv;
  contiguous_strides(wv.shape, false, plan.weight.strides);
  set_operands(p, c, v, plan.weight);
  geometry(p, c);
  contiguous_operands(p, c, wv);
  activation_arg(activation, p);
  p.weights_ready = 1;
}

PyTypeObject* plan_type;

// weight, bias, input_shape, stride, padding, dilation, groups, padding_mode, layout, activation, algorithm, dtype,
// threads, max_workspace, output_padding
PyObject* make_plan(int spatial, PyObject* const* a, bool transposed) {
  auto plan = std::make_unique<Plan>();
  const Array w = array_arg(a[0], "weight", kFloats);
  plan->common = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[10], a[12], a[13]);
  if (transposed) set_transposed(plan->common, a[14]);
  plan->size = open_size_arg(a[2], plan->common.layout, "input_shape");
  plan->converts = a[11] != Py_None;
  plan->problem = problem_of(plan->common, transposed ? Direction::input_gradient : Direction::forward,
                             plan->converts ? dtype_arg(a[11]) : w.dtype);
  plan->descr = Ref(reinterpret_cast<PyObject*>(PyArray_DescrFromType(type_number(plan->problem.dtype))));
  set_problem(*plan, weight_view(w, spatial), a[9]);
  plan->problem.has_bias = a[1] != Py_None;
  set_weights(*plan, w, a[1]);
  PlanObject* self = PyObject_New(PlanObject, plan_type);
  if (!self) throw PythonError();
  self->call = call;
  self->plan = plan.release();
  return reinterpret_cast<PyObject*>(self);
}
template <int Spatial>
PyObject* plan_conv(PyObject* const* a) {
  return make_plan(Spatial, a, false);
}
template <int Spatial>
PyObject* plan_conv_transpose(PyObject* const* a) {
  return make_plan(Spatial, a, true);
}

std::string weight_text(const Plan& plan) {
  return view_text(plan.weight.shape, {plan.common.layout.spatial, false}, true);
}

void update(Plan& plan, PyObject* weight, PyObject* bias) {
  const Array w = array_arg(weight, "weight", kFloats);
  const std::string expected = weight_text(plan), given = shape_text(w.ndim, w.shape);
  if (given != expected) value_error("weight: expected shape %s, got %s", expected.c_str(), given.c_str());
  if (plan.problem.has_bias && bias == Py_None) value_error("bias: the plan has one, got None");
  if (!plan.problem.has_bias && bias != Py_None) value_error("bias: the plan has none, expected None");
  set_weights(plan, w, bias);
}

PyObject* update_method(PyObject* self, PyObject* args, PyObject* keywords) {
  return guarded([&]() -> PyObject* {
    static const char* const names[] = {"weight", "bias", nullptr};
    PyObject* given[2] = {nullptr, Py_None};
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:update", const_cast<char**>(names), &given[0], &given[1]))
      return nullptr;
    try {
      update(plan_of(self), given[0], given[1]);
      return Py_NewRef(Py_None);
    } catch (const Delegate&) {
      Ref method(PyObject_GetAttrString(self, "update"));
      if (!method.get()) throw PythonError();
      return delegate(method.get(), given, 2, nullptr);
    }
  });
}

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<PlanObject*>(self)->plan;
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject* algorithm(PyObject* self, void*) {
  const Plan& plan = plan_of(self);
  return plan.latest ? PyUnicode_FromString(algorithm_at(plan.latest->algorithm).name) : Py_NewRef(Py_None);
}

PyObject* repr(PyObject* self) {
  const Plan& plan = plan_of(self);
  Ref name(algorithm(self, nullptr));
  if (!name.get()) return nullptr;
  return PyUnicode_FromFormat("konv.ConvPlan(input_shape=%s, weight_shape=%s, dtype='%s', algorithm=%R)",
                              view_text(plan.size.shape, plan.common.layout, plan.size.batched).c_str(),
                              weight_text(plan).c_str(), dtype_text(plan.problem.dtype), name.get());
}

PyObject* workspace_bytes(PyObject* self, void*) {
  const ConvPlan* p = plan_of(self).latest.get();
  return p ? PyLong_FromLongLong(p->workspace.shared + p->workspace.per_thread * p->threads) : Py_NewRef(Py_None);
}

PyObject* weight_bytes(PyObject* self, void*) {
  const State& state = *plan_of(self).state;
  int64_t bytes = state.weights ? state.weights->bytes() : 0;
  std::vector<const PackedWeights*> packed;
  for (const auto& p : state.prepared()) packed.push_back(p->packed.get());
  std::sort(packed.begin(), packed.end());
  packed.erase(std::unique(packed.begin(), packed.end()), packed.end());
  for (const PackedWeights* p : packed) bytes += p->memory.size();
  return PyLong_FromLongLong(bytes);
}

PyGetSetDef properties[] = {
    {"algorithm", algorithm, nullptr,
     "Name of the algorithm of the latest call; before the first that of the planned shape, None where a size is open.",
     nullptr},
    {"workspace_bytes", workspace_bytes, nullptr, "Bytes of scratch that this algorithm uses; None where it is None.",
     nullptr},
    {"weight_bytes", weight_bytes, nullptr, "Bytes of weights that the plan keeps, in all formats.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

constexpr const char* kDoc =
    "A convolution with a private, packed copy of its weights; `konv.plan_conv2d` makes one.\n\n"
    "``plan(input, *, residual=None, out=None)`` convolves, with the arguments of `konv.conv2d`.";

PyMethodDef methods[] = {
    {"update", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&update_method)),
     METH_VARARGS | METH_KEYWORDS,
     "update($self, weight, bias=None)\n--\n\n"
     "Copy other weights, and another bias where the plan has one, of the shapes that it was made with.\n\n"
     "Calls that run meanwhile in other threads finish with the earlier ones."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyMethodDef plan_methods[] = {entry<15, plan_conv<1>, "plan_conv1d">(),
                              entry<15, plan_conv<2>, "plan_conv2d">(),
                              entry<15, plan_conv<3>, "plan_conv3d">(),
                              entry<15, plan_conv_transpose<1>, "plan_conv_transpose1d">(),
                              entry<15, plan_conv_transpose<2>, "plan_conv_transpose2d">(),
                              entry<15, plan_conv_transpose<3>, "plan_conv_transpose3d">(),
                              {nullptr, nullptr, 0, nullptr}};

bool register_plan(PyObject* module) {
  static PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(PlanObject, call), READONLY, nullptr},
                                  {nullptr, 0, 0, 0, nullptr}};
  PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>(kDoc)},
                         {Py_tp_call, reinterpret_cast<void*>(&PyVectorcall_Call)},
                         {Py_tp_dealloc, reinterpret_cast<void*>(&dealloc)},
                         {Py_tp_repr, reinterpret_cast<void*>(&repr)},
                         {Py_tp_methods, methods},
                         {Py_tp_getset, properties},
                         {Py_tp_members, members},
                         {0, nullptr}};
  PyType_Spec spec = {
      "konv.ConvPlan", sizeof(PlanObject), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
      slots};
  PyObject* type = PyType_FromSpec(&spec);
  plan_type = reinterpret_cast<PyTypeObject*>(type);
  out_name = PyUnicode_InternFromString("out");
  residual_name = PyUnicode_InternFromString("residual");
  return type && out_name && residual_name && PyModule_AddObjectRef(module, "ConvPlan", type) == 0;
}

}  // namespace konv
