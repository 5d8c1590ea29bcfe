/* Uses what the image "base" has beyond "static": glibc with its name service,
   time zones, the locale C.UTF-8, threads and loading of libraries. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int failed;

static void check(int ok, const char *what) {
	if (ok)
		return;
	printf("%s: does not work (%s)\n", what, strerror(errno));
	failed = 1;
}

static long offset(const char *zone) {
	time_t at = 1719835200; /* 2024-07-01 12:00 UTC */
	struct tm tm;
	setenv("TZ", zone, 1);
	tzset();
	localtime_r(&at, &tm);
	return tm.tm_gmtoff;
}

static int localhost(void) {
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
	if (getaddrinfo("localhost", "https", &hints, &found) != 0)
		return 0;
	struct sockaddr_in *in = (struct sockaddr_in *)found->ai_addr;
	return in->sin_addr.s_addr == htonl(INADDR_LOOPBACK) && in->sin_port == htons(443);
}

/* Answers each query of DNS with the address 192.0.2.1. */
static void *name_server(void *arg) {
	static const unsigned char answer[] = {
		0xc0, 12,    /* the name that was asked for */
		0, 1, 0, 1,  /* an address of the Internet */
		0, 0, 0, 60, /* for a minute */
		0, 4, 192, 0, 2, 1,
	};
	unsigned char message[512];
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	while (recvfrom(*(int *)arg, message, sizeof message, 0, (struct sockaddr *)&from, &size) > 0) {
		size_t end = 12 + strlen((char *)message + 12) + 1 + 4; /* of the question */
		message[2] = 0x81;                                      /* a response; recursion is desired */
		message[3] = 0x80;                                      /* and available */
		memcpy(message + 4, (unsigned char[]){0, 1, 0, 1, 0, 0, 0, 0}, 8); /* a question, an answer */
		memcpy(message + end, answer, sizeof answer);
		sendto(*(int *)arg, message, end + sizeof answer, 0, (struct sockaddr *)&from, size);
	}
	return NULL;
}

/* Finds a name that only a name server of its own knows. */
static int dns(void) {
	static int server;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof at;
	pthread_t thread;
	server = socket(AF_INET, SOCK_DGRAM, 0);
	if (server < 0 || bind(server, (struct sockaddr *)&at, size) != 0 || getsockname(server, (struct sockaddr *)&at, &size) != 0 ||
	    pthread_create(&thread, NULL, name_server, &server) != 0 || res_init() != 0)
		return 0;
	_res.nscount = 1;
	_res.nsaddr_list[0] = at;

	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
	int err = getaddrinfo("bird.test.", NULL, &hints, &found);
	if (err != 0) {
		printf("bird.test: %s\n", gai_strerror(err));
		return 0;
	}
	return ((struct sockaddr_in *)found->ai_addr)->sin_addr.s_addr == inet_addr("192.0.2.1");
}

static int certificates(void) {
	FILE *f = fopen("/etc/ssl/certs/ca-certificates.crt", "r");
	char line[4096];
	int n = 0;
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof line, f) != NULL)
		n += strcmp(line, "-----BEGIN CERTIFICATE-----\n") == 0;
	fclose(f);
	return n;
}

static void *answer(void *arg) {
	*(int *)arg = 42;
	return arg;
}

int main(void) {
	check(getuid() == 65532, "the user 65532");
	struct passwd *user = getpwuid(65532);
	check(user != NULL && strcmp(user->pw_name, "nonroot") == 0, "names of users");
	check(open("/home/nonroot/file", O_CREAT | O_WRONLY, 0600) < 0 && errno == EROFS, "a read-only root file system");
	check(open("/tmp/file", O_CREAT | O_WRONLY, 0600) >= 0, "writing to /tmp");
	check(certificates() > 100, "certificates");
	check(offset("Europe/Berlin") == 7200, "the time zone Europe/Berlin");
	check(offset("America/New_York") == -14400, "the time zone America/New_York");
	check(localhost(), "names of hosts");
	check(dns(), "names in DNS");

	check(setlocale(LC_ALL, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0, "the locale C.UTF-8");
	wchar_t wide[8];
	check(mbstowcs(wide, "\xc3\xa9\xe2\x82\xac", 8) == 2, "texts in UTF-8");

	int got = 0;
	pthread_t thread;
	check(pthread_create(&thread, NULL, answer, &got) == 0 && pthread_join(thread, NULL) == 0 && got == 42, "threads");
	void *libm = dlopen("libm.so.6", RTLD_NOW);
	double (*root)(double) = NULL;
	if (libm != NULL)
		*(void **)&root = dlsym(libm, "sqrt");
	check(root != NULL && root(16) == 4, "loading of libraries");

	if (failed == 0)
		puts("everything works");
	return failed;
}
