/* A load client for milters: as many connections as wanted, each in lock-step as a mail system's.
 *
 *   mload ADDRESS CONNECTIONS SECONDS persist|each CORPUS     ADDRESS is HOST:PORT or a unix socket's path
 *
 * "persist": every connection is one long SMTP session, message after message. "each": one connection for
 * every message. It offers what Postfix 3.7 does, honours what the milter takes of it, sends the default
 * macros before every event and every header, the envelope and the headers in two writes where nothing is
 * answered between them, and an ABORT after each message. CORPUS: records separated by empty lines; the
 * first line has the client's address, name and HELO, the others are header lines, folded ones with a tab.
 *
 * Prints: messages, seconds, refused, and the latency of a message in microseconds: p50, p99, worst.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { NOBODY = 0x10, NR_HDR = 0x80, NODATA = 0x200, NR_CONN = 0x1000, NR_HELO = 0x2000, NR_MAIL = 0x4000,
       NR_RCPT = 0x8000, NR_DATA = 0x10000, NR_EOH = 0x40000, NR_BODY = 0x80000 };
enum { MAX_RECORDS = 256, MAX_STEPS = 128, BODY_SIZE = 3500 };

/* What to write before an answer is due; cut_at > 0 splits it into two writes. */
struct step { char *data; size_t size, cut_at; int verdict; };
/* Steps, and what remains to be written before whatever comes next. */
struct script { struct step steps[MAX_STEPS]; int count; struct step rest; };
struct record { char *client[3], *name[64], *value[64]; int headers; struct script start, message; };
struct connection { struct record *record; struct script *script; int fd, step; size_t have; uint64_t began; unsigned char in[1024]; };

static struct record records[MAX_RECORDS];
static int record_count, next_record, each, epoll_fd, stopping, agreed_known;
static uint32_t agreed;
static struct sockaddr_storage address;
static socklen_t address_size;
static long done, refused, latency_room;
static uint32_t *latencies;

static void die(const char *what) { perror(what); exit(1); }

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Writing a script */

static char out[1 << 18];
static size_t out_size, out_cut;

static void frame(char command, const char *data, size_t size)
{
    uint32_t length = htonl((uint32_t)size + 1);
    memcpy(out + out_size, &length, 4);
    out[out_size + 4] = command;
    if (size)
        memcpy(out + out_size + 5, data, size);
    out_size += size + 5;
}

static void macros(char command, const char *pairs, size_t size)
{
    char data[1024];
    data[0] = command;
    memcpy(data + 1, pairs, size);
    frame('D', data, size + 1);
}
#define MACROS(command, pairs) macros(command, pairs, sizeof pairs - 1)

static struct step take(int verdict)
{
    struct step step = { malloc(out_size + 1), out_size, out_cut, verdict };
    memcpy(step.data, out, out_size);
    out_size = out_cut = 0;
    return step;
}

static void answer_due(struct script *script, int verdict) { script->steps[script->count++] = take(verdict); }

static void write_scripts(struct record *record)
{
    static const char connect_macros[] = "j\0mx.example.org\0{daemon_name}\0mx.example.org\0"
                                         "{daemon_addr}\0" "192.0.2.25\0v\0Postfix 3.7.11\0_";
    char data[70000];
    size_t size = sizeof connect_macros;
    uint16_t port = htons(25);
    struct script *script = &record->start;

    memcpy(data, connect_macros, size);
    size += (size_t)sprintf(data + size, "%s [%s]", record->client[1], record->client[0]) + 1;
    macros('C', data, size);
    size = (size_t)sprintf(data, "%s", record->client[1]) + 1;
    data[size++] = '4';
    memcpy(data + size, &port, 2);
    size += 2;
    size += (size_t)sprintf(data + size, "%s", record->client[0]) + 1;
    frame('C', data, size);
    if (!(agreed & NR_CONN))
        answer_due(script, 0);
    MACROS('H', "");
    frame('H', record->client[2], strlen(record->client[2]) + 1);
    if (!(agreed & NR_HELO))
        answer_due(script, 0);
    script->rest = take(0);

    script = &record->message;
    MACROS('M', "{mail_addr}\0sender@example.com\0{mail_host}\0mx.example.com\0{mail_mailer}\0smtp\0");
    frame('M', "<sender@example.com>\0SIZE=4711\0", 31);
    if (!(agreed & NR_MAIL))
        answer_due(script, 0);
    MACROS('R', "{rcpt_addr}\0user@example.org\0{rcpt_host}\0example.org\0{rcpt_mailer}\0local\0");
    frame('R', "<user@example.org>", 19);
    if (!(agreed & NR_RCPT))
        answer_due(script, 0);
    MACROS('T', "i\0" "4XyZabcDef\0");
    if (!(agreed & NODATA)) {
        frame('T', "", 0);
        if (!(agreed & NR_DATA))
            answer_due(script, 0);
    }
    out_cut = out_size;
    for (int i = 0; i < record->headers; i++) {
        size_t n = strlen(record->name[i]) + 1, v = strlen(record->value[i]) + 1;
        MACROS('L', "i\0" "4XyZabcDef\0");
        memcpy(data, record->name[i], n);
        memcpy(data + n, record->value[i], v);
        frame('L', data, n + v);
        if (!(agreed & NR_HDR))
            answer_due(script, 0);
    }
    MACROS('N', "i\0" "4XyZabcDef\0");
    frame('N', "", 0);
    if (!(agreed & NR_EOH))
        answer_due(script, 1);
    if (!(agreed & NOBODY)) {
        memset(data, 'x', BODY_SIZE);
        MACROS('B', "i\0" "4XyZabcDef\0");
        frame('B', data, BODY_SIZE);
        if (!(agreed & NR_BODY))
            answer_due(script, 1);
    }
    MACROS('E', "i\0" "4XyZabcDef\0");
    frame('E', "", 0);
    answer_due(script, 1);
    frame('A', "", 0);
    script->rest = take(0);
}

/* Running it */

static void put(struct connection *c, const char *data, size_t size)
{
    /* Far below any socket buffer's size: it is written whole, or the milter is gone. */
    if (size && send(c->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("write");
}

/* Write the next step of the script, after what the script before it left unwritten. */
static void write_step(struct connection *c, const struct step *left)
{
    const struct step *step = &c->script->steps[c->step];
    size_t size = 0, cut = step->cut_at;

    if (left) {
        memcpy(out, left->data, left->size);
        size = left->size;
    }
    if (cut) {
        memcpy(out + size, step->data, cut);
        put(c, out, size + cut);
        size = 0;
    }
    memcpy(out + size, step->data + cut, step->size - cut);
    put(c, out, size + step->size - cut);
}

static void begin_message(struct connection *c, const struct step *left)
{
    c->script = &c->record->message;
    c->step = 0;
    c->began = now_ns();
    write_step(c, left);
}

static void begin_connection(struct connection *c)
{
    uint32_t offer[3] = { htonl(6), htonl(0x1ff), htonl(0x1fffff) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    int one = 1;

    c->record = &records[next_record++ % record_count];
    c->script = NULL;
    c->have = 0;
    c->fd = socket(address.ss_family, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&address, address_size) < 0)
        die("connect");
    if (address.ss_family != AF_UNIX)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    frame('O', (char *)offer, sizeof offer);
    put(c, out, out_size);
    out_size = 0;
}

static void end_connection(struct connection *c)
{
    put(c, "\0\0\0\1Q", 5);
    close(c->fd);
    c->fd = -1;
}

static void end_message(struct connection *c, unsigned char answer)
{
    if (done < latency_room)
        latencies[done] = (uint32_t)((now_ns() - c->began) / 1000);
    done++;
    refused += answer == 'y';
    if (each || stopping) {
        put(c, c->script->rest.data, c->script->rest.size);
        end_connection(c);
        if (!stopping)
            begin_connection(c);
    } else {
        begin_message(c, &c->script->rest);
    }
}

static void on_answer(struct connection *c, const unsigned char *answer)
{
    struct step *step;

    if (!c->script) {
        uint32_t steps;
        memcpy(&steps, answer + 9, 4);
        if (!agreed_known) {
            agreed = ntohl(steps);
            agreed_known = 1;
            for (int i = 0; i < record_count; i++)
                write_scripts(&records[i]);
        }
        c->script = &c->record->start;
        c->step = 0;
        if (c->script->count)
            write_step(c, NULL);
        else
            begin_message(c, &c->script->rest);
        return;
    }
    step = &c->script->steps[c->step];
    if (step->verdict && answer[0] != 'c') {
        end_message(c, answer[0]);
    } else if (++c->step < c->script->count) {
        write_step(c, NULL);
    } else if (c->script == &c->record->start) {
        begin_message(c, &c->script->rest);
    } else {
        end_message(c, answer[0]);
    }
}

static void on_readable(struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->have, sizeof c->in - c->have, 0);
    uint32_t length;

    if (n <= 0)
        die("the milter has hung up");
    c->have += (size_t)n;
    while (c->have >= 5) { /* at most one answer is due, but nothing says that it comes in one piece */
        memcpy(&length, c->in, 4);
        length = ntohl(length);
        if (c->have < length + 4)
            return;
        c->have = 0;
        on_answer(c, c->in + 4);
        if (c->fd < 0)
            return;
    }
}

static void read_corpus(const char *path)
{
    static char line[70000];
    struct record *record = NULL;
    FILE *file = fopen(path, "r");

    if (!file)
        die(path);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (!*line) {
            record = NULL;
        } else if (!record) {
            if (record_count == MAX_RECORDS)
                break;
            record = &records[record_count++];
            record->client[0] = strdup(strtok(line, " "));
            record->client[1] = strdup(strtok(NULL, " "));
            record->client[2] = strdup(strtok(NULL, " "));
        } else if (*line == '\t' && record->headers) {
            char **value = &record->value[record->headers - 1], *longer;
            if (asprintf(&longer, "%s\n%s", *value, line) < 0)
                die("memory");
            *value = longer;
        } else if (record->headers < 64) {
            char *colon = strchr(line, ':');
            if (!colon)
                continue;
            *colon = 0;
            record->name[record->headers] = strdup(line);
            record->value[record->headers++] = strdup(colon[1] == ' ' ? colon + 2 : colon + 1);
        }
    }
    fclose(file);
}

static void set_address(const char *text)
{
    if (strchr(text, '/')) {
        struct sockaddr_un *local = (struct sockaddr_un *)&address;
        local->sun_family = AF_UNIX;
        snprintf(local->sun_path, sizeof local->sun_path, "%s", text);
        address_size = sizeof *local;
    } else {
        struct sockaddr_in *inet = (struct sockaddr_in *)&address;
        char host[64] = "";
        int port = 0;
        if (sscanf(text, "%63[^:]:%d", host, &port) != 2 || inet_pton(AF_INET, host, &inet->sin_addr) != 1) {
            fprintf(stderr, "mload: no such address: %s\n", text);
            exit(2);
        }
        inet->sin_family = AF_INET;
        inet->sin_port = htons((uint16_t)port);
        address_size = sizeof *inet;
    }
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct epoll_event events[64];
    struct connection *connections;
    int count, open_connections;
    uint64_t began, until;
    double seconds;

    if (argc != 6) {
        fprintf(stderr, "usage: mload ADDRESS CONNECTIONS SECONDS persist|each CORPUS\n");
        return 2;
    }
    set_address(argv[1]);
    count = atoi(argv[2]);
    each = !strcmp(argv[4], "each");
    read_corpus(argv[5]);
    if (count < 1 || !record_count)
        return 2;
    connections = calloc((size_t)count, sizeof *connections);
    latency_room = 4 << 20;
    latencies = malloc((size_t)latency_room * sizeof *latencies);
    epoll_fd = epoll_create1(0);
    began = now_ns();
    until = began + (uint64_t)(atof(argv[3]) * 1e9);
    for (int i = 0; i < count; i++)
        begin_connection(&connections[i]);
    do {
        int n = epoll_wait(epoll_fd, events, 64, 5000);
        if (n == 0) {
            fprintf(stderr, "mload: no answer for 5 seconds\n");
            return 1;
        }
        for (int i = 0; i < n; i++)
            on_readable(events[i].data.ptr);
        stopping = now_ns() >= until;
        open_connections = 0;
        for (int i = 0; i < count && stopping; i++)
            open_connections += connections[i].fd >= 0;
    } while (!stopping || open_connections);
    seconds = (double)(now_ns() - began) / 1e9;
    if (done < latency_room)
        latency_room = done;
    qsort(latencies, (size_t)latency_room, sizeof *latencies, ascending);
    printf("%ld %.3f %ld %u %u %u\n", done, seconds, refused, latencies[latency_room / 2],
           latencies[latency_room * 99 / 100], latencies[latency_room - 1]);
    return 0;
}
