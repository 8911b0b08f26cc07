// What the parts of the floor share.
#pragma once
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Of <sys/mount.h>, which does not go together with <linux/mount.h> in older C libraries.
int mount(const char* source, const char* target, const char* type, unsigned long flags, const void* data);
int umount2(const char* target, int flags);
enum { kDetach = 2 };

static inline void die(const char* what) {
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  _exit(111);
}
#define CHECK(expression) ((expression) < 0 ? die(#expression) : (void)0)

// floor_oci.c
int oci_run(int argc, char** argv);
int oci_create(int argc, char** argv);
int oci_start(int argc, char** argv);
int oci_delete(int argc, char** argv);
int oci_exec(int argc, char** argv);
