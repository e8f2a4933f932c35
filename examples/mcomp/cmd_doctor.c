/* mcomp doctor: CPU, tiers, plugins found and refused with reasons, versions, memory; made to be pasted into a report. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static int run(cli *c)
{
    static const char *const tiers[] = {"ref", "avx2", "avx512", "avx512_vnni", "amx"}; /* the last a cap only: docs/threading.md */
    int st = 0;
    int32_t n = 0;
    mcomp_machine_info m = {.size = sizeof m};
    json_t *cpu = json_object(), *list = json_array(), *plugins = json_array();
    const char *env = getenv("MCOMP_ISA");
    char mem[32];
    cli_set(c->root, "cpu", cpu);
    cli_set(c->root, "tiers", list);
    cli_set(c->root, "plugins", plugins);
    CLI_LIB(mcomp_machine_info_get(&m));
    cli_set(cpu, "name", json_string(m.cpu));
    cli_set(cpu, "cpus", json_integer(m.cpus));
    cli_set(cpu, "isa", json_string(m.isa));
    cli_set(cpu, "isa_max", json_string(m.isa_max));
    cli_set(cpu, "bf16", json_boolean(m.bf16));
    cli_set(cpu, "amx", json_boolean(m.amx));
    cli_set(cpu, "memory_bytes", json_integer((json_int_t)m.memory_bytes));
    cli_say(c, "mcomp    %s\ncpu      %s, %d CPUs, %s\nisa      %s (the CPU has %s)%s\n", mcomp_version_string(), m.cpu, m.cpus,
            cli_human_bytes(mem, sizeof mem, (double)m.memory_bytes), m.isa, m.isa_max, m.amx ? ", BF16, AMX" : m.bf16 ? ", BF16" : "");
    for (size_t i = 0; i + 1 < sizeof tiers / sizeof *tiers; i++) {
        (void)json_array_append_new(list, json_string(tiers[i]));
        if (strcmp(tiers[i], m.isa_max) == 0) break;
    }
    int known = !env || !*env;
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) known = known || strcmp(env, tiers[i]) == 0;
    if (!known) cli_warn(c, "ISA", "", "MCOMP_ISA is \"%.40s\", which is no tier: ignored (ref, avx2, avx512, avx512_vnni, amx)", env);
    CLI_LIB(mcomp_backend_count(c->ctx, &n));
    for (int32_t i = 0; i < n; i++) {
        mcomp_backend_info b = {.size = sizeof b};
        CLI_LIB(mcomp_backend_info_get(c->ctx, i, &b));
        const char *state = b.usable ? "usable" : "refused";
        json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s}", "name", b.name, "path", b.path, "version", b.version, "state", state, "why", b.why);
        if (o) (void)json_array_append_new(plugins, o);
        cli_say(c, "backend  %s %s %s%s%s %s\n", b.name, b.version, state, *b.why ? ": " : "", b.why, *b.path ? b.path : "(built in)");
    }
done:
    return st;
}

static const cli_opt opts[] = {{NULL, 0, NULL}};
const cli_verb cli_doctor = {"doctor", "mcomp doctor", "CPU, tiers, plugins found and refused, memory: paste-able", 0, 0, opts, run};
