/* The least that a supervisor in C can do, the floor of bench/run_cost.py: it receives a call that is held, reads the path that
 * the call is about (where it is about one), and lets it pass. It waits for nothing but calls.
 *
 *     run_floor PROGRAM [ARGUMENT...] */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAKE_HERE = 1, READ = 128 };
#define SET_FLAGS 0x40082104UL /* SECCOMP_IOCTL_NOTIF_SET_FLAGS, Linux 6.6 and later */

static int held(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_faccessat, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_access, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvfrom, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void supervise(int listener, pid_t program) {
    struct seccomp_notif call;
    char text[READ];
    ioctl(listener, SET_FLAGS, WAKE_HERE);
    for (;;) {
        memset(&call, 0, sizeof call);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
            if (waitpid(program, NULL, WNOHANG) == program) return;
            continue;
        }
        if (call.data.nr != SYS_recvfrom) {
            struct iovec to = {text, READ}, from = {(void *)call.data.args[call.data.nr == SYS_faccessat], READ};
            process_vm_readv((pid_t)call.pid, &to, 1, &from, 1, 0);
        }
        struct seccomp_notif_resp answer = {.id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

int main(int count, char **words) {
    int told[2], begin[2], listener;
    char go;
    if (count < 2 || pipe(told) < 0 || pipe(begin) < 0) return 1;
    pid_t program = fork();
    if (program == 0) {
        listener = held();
        if (write(told[1], &listener, sizeof listener) != sizeof listener || read(begin[0], &go, 1) != 1) return 1;
        execv(words[1], words + 1);
        return 1;
    }
    if (read(told[0], &listener, sizeof listener) != sizeof listener || listener < 0) return 1;
    listener = (int)syscall(SYS_pidfd_getfd, (int)syscall(SYS_pidfd_open, program, 0), listener, 0);
    if (listener < 0 || write(begin[1], "g", 1) != 1) return 1;
    supervise(listener, program);
    return 0;
}
