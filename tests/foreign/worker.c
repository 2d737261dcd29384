/* A density in another process that can be made to misbehave in every way that matters. Compiled by tests/foreign.rs.
   Usage: worker MODE. The density is a standard normal of three coordinates (DIM), without its constant. */
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef DIM
#define DIM 3
#endif

static int is(const char *mode, const char *name) { return strcmp(mode, name) == 0; }

static void put(const void *bytes, size_t n) {
    const char *at = bytes;
    while (n > 0) {
        ssize_t k = write(1, at, n);
        if (k <= 0) _exit(7);
        at += k;
        n -= (size_t)k;
    }
}

static int get(void *bytes, size_t n) {
    char *at = bytes;
    while (n > 0) {
        ssize_t k = read(0, at, n);
        if (k <= 0) return 0;
        at += k;
        n -= (size_t)k;
    }
    return 1;
}

static void frame(const char *tag, const void *payload, uint32_t n) {
    put(tag, 4);
    put(&n, 4);
    put(payload, n);
}

static void greet(const char *mode) {
    char text[512];
    const char *protocol = is(mode, "protocol") ? "something-else" : "flowdistill-density";
    int version = is(mode, "version") ? 9 : 1;
    long dim = is(mode, "dim") ? 4000000000L : is(mode, "no-dim") ? 0 : DIM;
    const char *names = is(mode, "names") ? ", \"names\": [\"a\"]" : is(mode, "control") ? ", \"names\": [\"a\", \"b\\n\", \"c\"]"
        : is(mode, "disagree") ? (getpid() % 2 ? ", \"names\": [\"a\", \"b\", \"c\"]" : "") : "";
    snprintf(text, sizeof text, "{\"protocol\": \"%s\", \"version\": %d, \"dim\": %ld%s}", protocol, version, dim, names);
    if (is(mode, "not-json")) strcpy(text, "hello");
    if (is(mode, "failure-first")) { frame("FAIL", "no licence", 10); return; }
    if (is(mode, "values-first")) { frame("VALS", "", 0); return; }
    frame("HELO", text, (uint32_t)strlen(text));
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "fine";
    static char flood[1 << 16];
    if (is(mode, "silent")) { pause(); }
    if (is(mode, "stubborn")) { signal(SIGTERM, SIG_IGN); if (fork() == 0) pause(); }
    if (is(mode, "ends-at-once")) { fprintf(stderr, "module not found: energy\n"); return 3; }
    if (is(mode, "prints")) { printf("Loading the model...\n"); fflush(stdout); pause(); }
    if (is(mode, "huge")) { uint32_t n = 0xffffffffu; put("HELO", 4); put(&n, 4); pause(); }
    if (is(mode, "chatter")) { memset(flood, 'x', sizeof flood); for (int i = 0; i < 64; ++i) if (write(2, flood, sizeof flood) < 0) return 9; }
    if (is(mode, "endless-chatter") && fork() == 0) { memset(flood, 'y', sizeof flood); while (write(2, flood, sizeof flood) > 0) {} _exit(0); }
    greet(mode);
    if (is(mode, "deaf")) { close(0); pause(); }
    if (is(mode, "never-reads")) { pause(); }
    char header[8];
    for (int round = 0; get(header, 8); ++round) {
        uint32_t n, prefix[4];
        memcpy(&n, header + 4, 4);
        char *payload = malloc(n);
        if (memcmp(header, "EVAL", 4) != 0 || !get(payload, n)) return 8;
        memcpy(prefix, payload, 16);
        uint32_t rows = prefix[1], wanted = prefix[2] & 1;
        const double *points = (const double *)(payload + 16);
        uint32_t length = 16 + 8 * rows * (1 + (wanted ? DIM : 0));
        const char *note = is(mode, "note") ? "the first coordinate is above one" : "";
        uint32_t room = length + (uint32_t)strlen(note);
        char *answer = calloc(1, room + 64);
        double *values = (double *)(answer + 16), *gradients = values + rows;
        for (uint32_t r = 0; r < rows; ++r) {
            double sum = 0;
            for (int i = 0; i < DIM; ++i) {
                double x = points[r * DIM + (uint32_t)i];
                sum += x * x;
                if (wanted) gradients[r * DIM + (uint32_t)i] = -x;
            }
            values[r] = -0.5 * sum;
            double first = points[r * DIM];
            if ((is(mode, "nan") || is(mode, "note")) && first > 1) values[r] = NAN;
            if (is(mode, "infinite") && first > 1) values[r] = INFINITY;
            if (is(mode, "zero") && first > 1) { values[r] = -INFINITY; if (wanted) gradients[r * DIM] = NAN; }
            if (is(mode, "steep") && first > 1 && wanted) gradients[r * DIM + 1] = INFINITY;
        }
        prefix[3] = (uint32_t)strlen(note);
        if (is(mode, "rows")) prefix[1] += 1;
        if (is(mode, "flags")) prefix[2] ^= 1;
        if (is(mode, "sequence")) prefix[0] += 1;
        if (is(mode, "long-note")) prefix[3] = 0xfffffff0u;
        memcpy(answer, prefix, 16);
        memcpy(answer + length, note, strlen(note));
        if (is(mode, "crash") && round == 1) { fprintf(stderr, "about to fall over\n"); abort(); }
        if (is(mode, "exit") && round == 1) { fprintf(stderr, "Traceback: division by zero\n"); return 1; }
        if (is(mode, "hang") && round == 1) pause();
        if (is(mode, "failure")) { frame("FAIL", "the licence has expired", 23); return 0; }
        if (is(mode, "tag")) { frame("HELO", answer, room); continue; }
        if (is(mode, "short")) { put("VALS", 4); put(&room, 4); put(answer, room / 2); return 0; }
        if (is(mode, "too-short")) { frame("VALS", answer, room - 8); continue; }
        if (is(mode, "too-long")) { frame("VALS", answer, room + 8); continue; }
        if (is(mode, "much-too-long")) { uint32_t many = 0x7fffffffu; put("VALS", 4); put(&many, 4); put(answer, room); continue; }
        if (is(mode, "tiny")) { frame("VALS", answer, 5); continue; }
        if (is(mode, "twice")) { frame("VALS", answer, room); }
        if (is(mode, "noise")) { printf("row %d\n", round); fflush(stdout); }
        if (is(mode, "drip")) { put("VALS", 4); put(&room, 4); for (uint32_t i = 0; i < room; ++i) { put(answer + i, 1); usleep(200); } continue; }
        frame("VALS", answer, room);
        free(answer);
        free(payload);
    }
    return 0;
}
