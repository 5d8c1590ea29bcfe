// Uses what the image "cc" has beyond "base": the C++ library with exceptions
// across threads, streams, locales, files, regular expressions and time zones.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <locale>
#include <regex>
#include <stdexcept>
#include <string>

#include <netdb.h>
#include <unistd.h>

static bool failed = false;

static void check(bool ok, const std::string &what) {
	if (ok)
		return;
	std::cout << what << ": does not work" << std::endl;
	failed = true;
}

// The text of an exception that a thread ended with.
static std::string thrown() {
	auto result = std::async(std::launch::async, []() -> int { throw std::runtime_error("thrown"); });
	try {
		return std::to_string(result.get());
	} catch (const std::exception &e) {
		return e.what();
	}
}

static bool readOnly() {
	std::ofstream file("/home/nonroot/file");
	return !file.is_open();
}

static int certificates() {
	std::ifstream bundle("/etc/ssl/certs/ca-certificates.crt");
	std::regex begin("-----BEGIN CERTIFICATE-----");
	int n = 0;
	for (std::string line; std::getline(bundle, line);)
		n += std::regex_match(line, begin);
	return n;
}

static bool localhost() {
	addrinfo *found = nullptr;
	return getaddrinfo("localhost", "https", nullptr, &found) == 0 && found != nullptr;
}

#if __cpp_lib_chrono >= 201907L
static long offset(const char *zone) {
	using namespace std::chrono;
	auto at = sys_days{2024y / July / 1} + 12h;
	return locate_zone(zone)->get_info(at).offset.count();
}
#else // the C++ library of Debian 12 has no time zones of its own
static long offset(const char *zone) {
	time_t at = 1719835200; // 2024-07-01 12:00 UTC
	tm tm;
	setenv("TZ", zone, 1);
	tzset();
	localtime_r(&at, &tm);
	return tm.tm_gmtoff;
}
#endif

int main() try {
	check(getuid() == 65532, "the user 65532");
	check(readOnly(), "a read-only root file system");
	check(thrown() == "thrown", "exceptions across threads");
	check(certificates() > 100, "certificates");
	check(localhost(), "names of hosts");
	check(offset("Europe/Berlin") == 7200, "the time zone Europe/Berlin");
	check(offset("America/New_York") == -14400, "the time zone America/New_York");
	check(!std::locale("").name().empty(), "the locale of the environment");
	std::ofstream("/tmp/file") << 1.5 << std::endl;
	double number = 0;
	std::ifstream("/tmp/file") >> number;
	check(number == 1.5 && std::filesystem::file_size("/tmp/file") == 4, "files");
	if (!failed)
		std::cout << "everything works" << std::endl;
	return failed;
} catch (const std::exception &e) {
	std::cout << e.what() << std::endl;
	return 1;
}
