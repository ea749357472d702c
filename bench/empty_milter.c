/* The least that a libmilter program can do: nothing, at every event. The yardstick of the bench.
 *
 *   empty_milter ADDRESS [quiet]      ADDRESS as libmilter has it: inet:PORT@127.0.0.1, unix:PATH
 *
 * By default it negotiates what libmilter does for a program that names its callbacks: every event is sent
 * and answered. With "quiet" it promises not to answer what it need not answer, and takes no body.
 */
#include <stdio.h>
#include <string.h>
#include <libmilter/mfapi.h>

static sfsistat on_connect(SMFICTX *c, char *name, _SOCK_ADDR *a) { (void)c, (void)name, (void)a; return SMFIS_CONTINUE; }
static sfsistat on_text(SMFICTX *c, char *text) { (void)c, (void)text; return SMFIS_CONTINUE; }
static sfsistat on_unknown(SMFICTX *c, const char *text) { (void)c, (void)text; return SMFIS_CONTINUE; }
static sfsistat on_path(SMFICTX *c, char **args) { (void)c, (void)args; return SMFIS_CONTINUE; }
static sfsistat on_header(SMFICTX *c, char *name, char *value) { (void)c, (void)name, (void)value; return SMFIS_CONTINUE; }
static sfsistat on_body(SMFICTX *c, unsigned char *data, size_t n) { (void)c, (void)data, (void)n; return SMFIS_CONTINUE; }
static sfsistat on_event(SMFICTX *c) { (void)c; return SMFIS_CONTINUE; }
static sfsistat on_eoh(SMFICTX *c) { (void)c; return SMFIS_ACCEPT; }

static sfsistat on_negotiate(SMFICTX *c, unsigned long f0, unsigned long f1, unsigned long f2, unsigned long f3,
                             unsigned long *p0, unsigned long *p1, unsigned long *p2, unsigned long *p3)
{
    (void)c, (void)f0, (void)f2, (void)f3;
    *p0 = *p2 = *p3 = 0;
    *p1 = f1 & (SMFIP_NOBODY | SMFIP_NOUNKNOWN | SMFIP_NODATA | SMFIP_NR_CONN | SMFIP_NR_HELO | SMFIP_NR_MAIL |
                SMFIP_NR_RCPT | SMFIP_NR_HDR);
    return SMFIS_CONTINUE;
}

int main(int argc, char **argv)
{
    int quiet = argc > 2 && strcmp(argv[2], "quiet") == 0;
    struct smfiDesc filter = {
        .xxfi_name = "empty", .xxfi_version = SMFI_VERSION, .xxfi_flags = 0,
        .xxfi_connect = on_connect, .xxfi_helo = on_text, .xxfi_envfrom = on_path, .xxfi_envrcpt = on_path,
        .xxfi_header = on_header, .xxfi_eoh = quiet ? on_eoh : on_event, .xxfi_body = on_body, .xxfi_eom = on_event,
        .xxfi_abort = on_event, .xxfi_close = on_event, .xxfi_unknown = on_unknown, .xxfi_data = on_event,
        .xxfi_negotiate = quiet ? on_negotiate : NULL,
    };

    if (argc < 2 || smfi_setconn(argv[1]) == MI_FAILURE || smfi_register(filter) == MI_FAILURE) {
        fprintf(stderr, "usage: empty_milter ADDRESS [quiet]\n");
        return 2;
    }
    return smfi_main() == MI_SUCCESS ? 0 : 1;
}
