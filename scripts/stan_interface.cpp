// The C interface that BridgeStan publishes (version 2), around the model that stanc translated into MODEL_HEADER.
//
// Built by scripts/build_stan.sh. Differences from BridgeStan's own library: generated quantities are not offered, and an error
// that is not a domain error (an index out of range, out of memory) returns -2, so that a caller can tell the end from a refused point.

#include MODEL_HEADER

#include <stan/io/json/json_data.hpp>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using print_callback = void (*)(const char *, std::size_t);

print_callback printer = nullptr;
std::mutex printing;

/// Hands on what the model printed.
void print(const std::string &text) {
  if (text.empty()) {
    return;
  }
  std::lock_guard<std::mutex> guard(printing);
  if (printer) {
    printer(text.data(), text.size());
  }
}

void set_message(char **message, const char *text) {
  if (message) {
    *message = strdup(text);
  }
}

/// Runs `body`; 0 if it comes to its end, -1 if the model refused the point, -2 for anything worse.
template <typename Body>
int guarded(char **message, Body body) {
  // Each thread needs its own stack of the automatic differentiation.
  static thread_local stan::math::ChainableStack stack;
  // Kept, since making one takes longer than a small model.
  static thread_local std::stringstream said;
  said.str("");
  int code = 0;
  try {
    body(said);
  } catch (const std::domain_error &refused) {
    set_message(message, refused.what());
    code = -1;
  } catch (const std::exception &error) {
    set_message(message, error.what());
    code = -2;
  } catch (...) {
    set_message(message, "an exception of an unknown kind");
    code = -2;
  }
  if (said.tellp() > 0) {
    print(said.str());
  }
  return code;
}

std::string joined(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names) {
    text += (text.empty() ? "" : ",") + name;
  }
  return text;
}

}  // namespace

/// A model with its data, and the texts that callers may keep.
struct bs_model {
  std::unique_ptr<stan::model::model_base> model;
  std::string name;
  std::string unconstrained;
  /// By whether transformed parameters are included.
  std::string constrained[2];
  int dim = 0;
  int width[2] = {0, 0};
};

namespace {

template <bool propto, bool jacobian>
void log_density(const bs_model *m, const double *point, double *value, double *gradient, std::ostream *said) {
  stan::math::nested_rev_autodiff nested;
  Eigen::Matrix<stan::math::var, Eigen::Dynamic, 1> x(m->dim);
  for (int i = 0; i < m->dim; ++i) {
    x(i) = point[i];
  }
  stan::math::var density = m->model->template log_prob<propto, jacobian>(x, said);
  density.grad();
  *value = density.val();
  for (int i = 0; i < m->dim; ++i) {
    gradient[i] = x(i).adj();
  }
}

}  // namespace

EXPORT const int bs_major_version = 2;
EXPORT const int bs_minor_version = 0;
EXPORT const int bs_patch_version = 0;

EXPORT bs_model *bs_model_construct(const char *data, unsigned int seed, char **message) {
  std::unique_ptr<bs_model> made(new bs_model);
  int code = guarded(message, [&](std::stringstream &said) {
    std::stringstream text(data && *data ? data : "{}");
    stan::json::json_data context(text);
    made->model.reset(&new_model(context, seed, &said));
    made->name = made->model->model_name();
    made->dim = static_cast<int>(made->model->num_params_r());
    std::vector<std::string> names;
    made->model->unconstrained_param_names(names, false, false);
    made->unconstrained = joined(names);
    for (bool transformed : {false, true}) {
      names.clear();
      made->model->constrained_param_names(names, transformed, false);
      made->constrained[transformed] = joined(names);
      made->width[transformed] = static_cast<int>(names.size());
    }
  });
  return code == 0 ? made.release() : nullptr;
}

EXPORT void bs_model_destruct(bs_model *m) { delete m; }

EXPORT void bs_free_error_msg(char *message) { std::free(message); }

EXPORT int bs_set_print_callback(print_callback callback, char **) {
  std::lock_guard<std::mutex> guard(printing);
  printer = callback;
  return 0;
}

EXPORT const char *bs_name(const bs_model *m) { return m->name.c_str(); }

EXPORT int bs_param_unc_num(const bs_model *m) { return m->dim; }

EXPORT const char *bs_param_unc_names(const bs_model *m) { return m->unconstrained.c_str(); }

EXPORT int bs_param_num(const bs_model *m, bool include_tp, bool) { return m->width[include_tp]; }

EXPORT const char *bs_param_names(const bs_model *m, bool include_tp, bool) {
  return m->constrained[include_tp].c_str();
}

EXPORT int bs_param_constrain(const bs_model *m, bool include_tp, bool include_gq, const double *point, double *values,
                              void *, char **message) {
  return guarded(message, [&](std::stringstream &said) {
    if (include_gq) {
      throw std::invalid_argument("this library does not offer generated quantities");
    }
    // Only generated quantities draw from it.
    auto rng = stan::services::util::create_rng(1, 0);
    Eigen::VectorXd x = Eigen::Map<const Eigen::VectorXd>(point, m->dim);
    Eigen::VectorXd out;
    m->model->write_array(rng, x, out, include_tp, false, &said);
    if (out.size() != m->width[include_tp]) {
      throw std::logic_error("the model wrote another number of values than it has names");
    }
    std::memcpy(values, out.data(), sizeof(double) * static_cast<std::size_t>(out.size()));
  });
}

EXPORT int bs_log_density_gradient(const bs_model *m, bool propto, bool jacobian, const double *point, double *value,
                                   double *gradient, char **message) {
  return guarded(message, [&](std::stringstream &said) {
    if (propto && jacobian) {
      log_density<true, true>(m, point, value, gradient, &said);
    } else if (propto) {
      log_density<true, false>(m, point, value, gradient, &said);
    } else if (jacobian) {
      log_density<false, true>(m, point, value, gradient, &said);
    } else {
      log_density<false, false>(m, point, value, gradient, &said);
    }
  });
}
