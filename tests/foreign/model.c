/* The C interface that BridgeStan publishes, around a model that is simple enough to know everything about: two parameters, a real
   `mu` ~ N(location, 1) and a positive `tau` with ln tau ~ N(0, 1). Compiled by tests/foreign.rs; -DWITHOUT_X leaves a symbol out. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { double location; } model;

static void say(char **message, const char *text) {
    if (message) {
        *message = malloc(strlen(text) + 1);
        strcpy(*message, text);
    }
}

#ifdef MAJOR
int bs_major_version = MAJOR;
#else
int bs_major_version = 2;
#endif

/* Calls that are inside at once, to see whether they are kept apart. */
static int inside = 0, most_inside = 0;

model *bs_model_construct(const char *data, unsigned int seed, char **message) {
    (void)seed;
    const char *key = "\"location\":";
    const char *found = data ? strstr(data, key) : NULL;
    if (!found) {
        say(message, "variable does not exist; processing stage=data initialization; variable name=location");
        return NULL;
    }
    model *made = malloc(sizeof *made);
    made->location = atof(found + strlen(key));
    return made;
}

void bs_model_destruct(model *m) { free(m); }
void bs_free_error_msg(char *message) { free(message); }

#ifdef DIM
int bs_param_unc_num(const model *m) { (void)m; return DIM; }
#else
int bs_param_unc_num(const model *m) { (void)m; return 2; }
#endif
const char *bs_param_unc_names(const model *m) { (void)m; return "mu,tau"; }

#ifndef WITHOUT_CONSTRAIN
int bs_param_num(const model *m, bool tp, bool gq) { (void)m; (void)gq; return tp ? 3 : 2; }
const char *bs_param_names(const model *m, bool tp, bool gq) { (void)m; (void)gq; return tp ? "mu,tau,theta.1" : "mu,tau"; }
int bs_param_constrain(const model *m, bool tp, bool gq, const double *x, double *out, void *rng, char **message) {
    (void)m; (void)gq; (void)rng;
    if (x[0] > 100) { say(message, "mu is too large to constrain"); return -1; }
    out[0] = x[0];
    out[1] = exp(x[1]);
    if (tp) out[2] = x[0] * exp(x[1]);
    return 0;
}
#endif

#ifndef WITHOUT_GRADIENT
int bs_log_density_gradient(const model *m, bool propto, bool jacobian, const double *x, double *value, double *gradient, char **message) {
    /* Not atomic on purpose: only calls that are kept apart leave these right. */
    int now = ++inside;
    if (now > most_inside) most_inside = now;
    for (volatile int i = 0; i < 200; ++i) {}
    --inside;
    if (propto || !jacobian) { say(message, "asked for the wrong thing"); return -2; }
    if (x[0] > 50) { say(message, "normal_lpdf: Location parameter is too large"); return -1; }
    if (x[0] < -50) { say(message, "vector[2] index out of range"); return -2; }
    if (x[1] > 50) { *value = NAN; return 0; }
    if (x[1] < -50) { *value = -INFINITY; gradient[0] = NAN; gradient[1] = 1; return 0; }
    *value = -0.5 * (x[0] - m->location) * (x[0] - m->location) - 0.5 * x[1] * x[1] - log(2 * 3.14159265358979323846);
    gradient[0] = m->location - x[0];
    gradient[1] = x[1] == 49 ? INFINITY : -x[1];
    return 0;
}
#endif

int test_most_inside(void) { return most_inside; }

#ifdef LACKS
/* What no library has: bound late, the process would die when it is called. */
void nobody_has_this(void);

void uses_it(void) {
    nobody_has_this();
}
#endif
