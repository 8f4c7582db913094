// SPDX-License-Identifier: Apache-2.0
//
// What the kernel runs first of the one file, before its dynamic linker: it takes away what the caller's
// surroundings would choose, and begins Node as the kernel would have (docs/one-file.md). It stands in
// one segment without data, and needs no library.

#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifdef __aarch64__
#include "start-aarch64.h"
#else
#include "start-x86_64.h"
#endif

/** Written by elf.ts, at GIVEN_AT. */
struct given {
	/** The program headers that the dynamic linker and Node are to see, by what is run. */
	uint64_t phdr_reader;
	uint64_t phdr_watching;
	uint64_t phdr_other;
	uint64_t phnum;
	/** Where Node begins. */
	uint64_t entry;
	/** The dynamic linker's path. */
	const char *linker;
	uint64_t files;
	struct {
		const char *name;
		const char *bytes;
		uint64_t size;
	} file[];
};

#define GIVEN ((const struct given *)GIVEN_AT)

#define MOST_FILES 8
#define FILES_TEXT 512
#define LEAST_OPEN_FILES 32
/** With less Node crashes before it can say why. */
#define LEAST_KIB 1572864UL
#define LEAST_DATA_KIB 1048576UL
/** V8 takes it for granted, and fails where it is all used and there is less. */
#define LEAST_STACK_KIB 1024
#define SIGNALS 64
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8
#endif
/** What mmap() returns where it fails is less than this, as a negative number. */
#define MOST_ERRORS 4096
/** Of the dynamic linker; its program headers are there. */
#define LINKER_HEAD 4096

/** What the environment keeps; a name that ends with _ stands for all that begin so. */
static const char KEPT[] = "TERM\0COLORTERM\0NO_COLOR\0FORCE_COLOR\0LANG\0LC_\0"
			   "SUDO_UID\0SUDO_GID\0OTEL_\0STATE_DIRECTORY\0";
/** Else glibc keeps what each of a dozen threads has freed, and large pieces: 10 MiB, and 20 where there is much to read. */
static const char ONE_ARENA[] = "MALLOC_ARENA_MAX=1";
static const char LARGE_APART[] = "MALLOC_MMAP_THRESHOLD_=131072";
static const char TRIMMED[] = "MALLOC_TRIM_THRESHOLD_=131072";
static const char SAFE_PATH[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#define CALL(name, a, b, c, d) call(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	char *target = to;
	const char *source = from;

	while (size--)
		*target++ = *source++;
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	char *target = to;

	while (size--)
		*target++ = byte;
	return to;
}

static size_t length(const char *text)
{
	size_t size = 0;

	while (text[size])
		size++;
	return size;
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/** Returns where the text ends now. */
static char *append(char *end, const char *text)
{
	while (*text)
		*end++ = *text++;
	*end = 0;
	return end;
}

static char *append_number(char *end, unsigned long number, unsigned int base)
{
	char digits[24];
	int count = 0;

	do {
		digits[count++] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	while (count)
		*end++ = digits[--count];
	*end = 0;
	return end;
}

static _Noreturn void fail(const char *text)
{
	CALL(write, 2, text, length(text), 0);
	for (;;)
		CALL(exit_group, 2, 0, 0, 0);
}

static void least(int resource, unsigned long unit, unsigned long needed, const char *of,
		  const char *option)
{
	struct rlimit limit;
	char text[256];
	char *end = text;

	if (CALL(prlimit64, 0, resource, NULL, &limit) || limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur / unit >= needed)
		return;
	end = append(end, "tcpwhy: too little to run with: this process may have ");
	end = append_number(end, limit.rlim_cur / unit, 10);
	end = append(append(append(end, " "), of), ", and it takes ");
	end = append_number(end, needed, 10);
	end = append(append(append(end, ". Raise the limit (ulimit "), option), ").\n");
	fail(text);
}

/** A write beyond that limit would end it by SIGXFSZ. */
static void least_file(void)
{
	uint64_t largest = 0;

	for (uint64_t i = 0; i < GIVEN->files; i++)
		if (GIVEN->file[i].size > largest)
			largest = GIVEN->file[i].size;
	least(RLIMIT_FSIZE, 1024, largest / 1024 + 1, "KiB of a file", "-f");
}

static bool kept(const char *variable)
{
	for (const char *name = KEPT; *name; name += length(name) + 1) {
		size_t size = 0;

		while (name[size] && name[size] == variable[size])
			size++;
		if (!name[size] && (variable[size] == '=' || name[size - 1] == '_'))
			return true;
	}
	return false;
}

/** Node gives every signal its default: as /proc/PID/status has them, those that the caller has it ignore. */
static uint64_t ignored(void)
{
	uint64_t mask = 0;

	for (int number = 1; number <= SIGNALS; number++) {
		struct {
			uintptr_t handler;
			unsigned long rest[3];
		} action;

		if (!CALL(rt_sigaction, number, NULL, &action, 8) && action.handler == 1)
			mask |= 1UL << (number - 1);
	}
	return mask;
}

/** Nothing that is opened from here on takes the place of stdin, stdout or stderr. */
static void hold_standard_files(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (CALL(fcntl, fd, F_GETFD, 0, 0) < 0)
			CALL(openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
}

/**
 * Puts the files that others read by a path into memory, where nobody can write to them any more:
 * TCPWHY_FILES=NAME:FD…, for this process only. Those that could not be are left out.
 */
static void open_files(char *end)
{
	end = append(end, "TCPWHY_FILES=");
	for (uint64_t i = 0; i < GIVEN->files && i < MOST_FILES; i++) {
		const char *name = GIVEN->file[i].name;
		uint64_t size = GIVEN->file[i].size;
		unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
		// A host may ask for the second flag, which kernels before 6.3 do not know.
		long fd = CALL(memfd_create, name, flags | MFD_NOEXEC_SEAL, 0, 0);

		if (fd < 0)
			fd = CALL(memfd_create, name, flags, 0, 0);
		if (fd < 0)
			continue;
		for (uint64_t done = 0; done < size;) {
			long wrote = CALL(write, fd, GIVEN->file[i].bytes + done, size - done, 0);

			if (wrote <= 0)
				fail("tcpwhy: no memory for the files that it has in it\n");
			done += wrote;
		}
		// Else its pages are this process's as long as it runs.
		CALL(madvise, GIVEN->file[i].bytes, size, MADV_DONTNEED, 0);
		CALL(fcntl, fd, F_ADD_SEALS,
		     F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, 0);
		end = append(append(end, name), ":");
		end = append(append_number(end, fd, 10), " ");
	}
}

static void *map(uintptr_t at, size_t size, int protection, int flags, long fd, uint64_t offset)
{
	long mapped = call(SYS_mmap, at, size, protection, MAP_PRIVATE | flags, fd, offset);

	if (mapped < 0 && mapped > -MOST_ERRORS)
		fail("tcpwhy: no memory to begin with\n");
	return (void *)mapped;
}

/** As the kernel would have; returns where it was put. */
static const Elf64_Ehdr *load_linker(uintptr_t page_size)
{
	uint64_t space[LINKER_HEAD / sizeof(uint64_t)];
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)space;
	const Elf64_Phdr *phdr;
	uintptr_t base, size = 0;
	long fd = CALL(openat, AT_FDCWD, GIVEN->linker, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		fail("tcpwhy: needs glibc 2.28 or later, and this system has none: musl (Alpine) "
		     "will not do\n");
	if (CALL(read, fd, space, sizeof(space), 0) < (long)sizeof(*elf) || elf->e_type != ET_DYN ||
	    elf->e_machine != MACHINE ||
	    elf->e_phoff + elf->e_phnum * sizeof(*phdr) > sizeof(space))
		fail("tcpwhy: the dynamic linker of this system is none that it knows\n");
	phdr = (const Elf64_Phdr *)((const char *)space + elf->e_phoff);
	for (int i = 0; i < elf->e_phnum; i++)
		if (phdr[i].p_type == PT_LOAD)
			size = phdr[i].p_vaddr + phdr[i].p_memsz;
	base = (uintptr_t)map(0, size, PROT_NONE, MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < elf->e_phnum; i++) {
		uintptr_t from = base + phdr[i].p_vaddr;
		uintptr_t file_end = from + phdr[i].p_filesz, end = from + phdr[i].p_memsz;
		uintptr_t page = from & -page_size;
		uintptr_t file_pages_end = (file_end + page_size - 1) & -page_size;
		int protection = (phdr[i].p_flags & PF_R ? PROT_READ : 0) |
				 (phdr[i].p_flags & PF_W ? PROT_WRITE : 0) |
				 (phdr[i].p_flags & PF_X ? PROT_EXEC : 0);

		if (phdr[i].p_type != PT_LOAD)
			continue;
		map(page, file_end - page, protection, MAP_FIXED, fd,
		    phdr[i].p_offset & -page_size);
		if (end == file_end)
			continue;
		// To the end of the page: its first memory is behind what it asks for.
		memset((void *)file_end, 0, file_pages_end - file_end);
		if (file_pages_end < end)
			map(file_pages_end, end - file_pages_end, protection,
			    MAP_FIXED | MAP_ANONYMOUS, -1, 0);
	}
	CALL(close, fd, 0, 0, 0);
	return (const Elf64_Ehdr *)base;
}

/** `stack` is as the kernel made it: argc, argv, environment, auxiliary vector. */
__attribute__((used)) static _Noreturn void start(uint64_t *stack)
{
	uint64_t argc = stack[0];
	char **argv = (char **)(stack + 1), **env = argv + argc + 1, **variable = env;
	char signals[64], files[FILES_TEXT];
	const char *command = argc > 1 ? argv[1] : "";
	bool reads = same(command, "reader");
	bool watches = same(command, "record") || same(command, "agent") ||
		       same(command, "trace") || same(command, "top");
	const Elf64_Ehdr *linker;
	Elf64_auxv_t *auxv, *aux;
	uint64_t *words, *word;
	uintptr_t page_size = 0;

	hold_standard_files();
	least(RLIMIT_NOFILE, 1, LEAST_OPEN_FILES, "open files", "-n");
	least(RLIMIT_AS, 1024, LEAST_KIB, "KiB of addresses", "-v");
	least(RLIMIT_DATA, 1024, LEAST_DATA_KIB, "KiB of data", "-d");
	least(RLIMIT_STACK, 1024, LEAST_STACK_KIB, "KiB of stack", "-s");
	least_file();
	append_number(append(signals, "TCPWHY_SIGIGN="), ignored(), 16);
	open_files(files);
	while (*variable)
		variable++;
	auxv = (Elf64_auxv_t *)(variable + 1);
	for (aux = auxv; aux->a_type != AT_NULL; aux++)
		if (aux->a_type == AT_PAGESZ)
			page_size = aux->a_un.a_val;
	linker = load_linker(page_size);

	// Room for six variables more; the linker wants it on 16 bytes.
	words = __builtin_alloca((((char *)(aux + 1) - (char *)stack) + 10 * sizeof(*words)) &
				 -16UL);
	word = words;
	*word++ = argc;
	for (uint64_t i = 0; i < argc; i++)
		*word++ = (uint64_t)argv[i];
	*word++ = 0;
	for (variable = env; *variable; variable++)
		if (kept(*variable))
			*word++ = (uint64_t)*variable;
	*word++ = (uint64_t)SAFE_PATH;
	*word++ = (uint64_t)ONE_ARENA;
	*word++ = (uint64_t)LARGE_APART;
	*word++ = (uint64_t)TRIMMED;
	*word++ = (uint64_t)signals;
	*word++ = (uint64_t)files;
	*word++ = 0;
	for (aux = auxv;; aux++) {
		*word++ = aux->a_type;
		switch (aux->a_type) {
		case AT_BASE:
			*word++ = (uint64_t)linker;
			break;
		case AT_PHDR:
			*word++ = reads	    ? GIVEN->phdr_reader
				  : watches ? GIVEN->phdr_watching
					    : GIVEN->phdr_other;
			break;
		case AT_PHNUM:
			*word++ = GIVEN->phnum;
			break;
		case AT_ENTRY:
			*word++ = GIVEN->entry;
			break;
		default:
			*word++ = aux->a_un.a_val;
		}
		if (aux->a_type == AT_NULL)
			break;
	}
	go_on(words, (uintptr_t)linker + linker->e_entry);
}

/** The one function of libatomic that Node calls, for 8 bytes: many systems do not have that library. */
__attribute__((used)) static bool compare_exchange(size_t size, uint64_t *at, uint64_t *expected,
						   uint64_t *desired)
{
	if (size != sizeof(*at))
		fail("tcpwhy: Node asked for what it does not have (__atomic_compare_exchange)\n");
	return __atomic_compare_exchange_n(at, expected, *desired, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}
