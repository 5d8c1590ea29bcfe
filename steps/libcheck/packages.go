package libcheck

import (
	"path"
	"strings"
)

// packages are the Debian 13 packages of libraries that programs are often
// linked against, by the name that they are linked with.
var packages = map[string]string{
	"ld-linux-x86-64.so.2":        "libc6",
	"ld-linux-aarch64.so.1":       "libc6",
	"ld-linux-armhf.so.3":         "libc6",
	"ld-linux.so.2":               "libc6",
	"ld-linux-riscv64-lp64d.so.1": "libc6",
	"ld64.so.1":                   "libc6",
	"ld64.so.2":                   "libc6",
	"libc.so.6":                   "libc6",
	"libm.so.6":                   "libc6",
	"libmvec.so.1":                "libc6",
	"libdl.so.2":                  "libc6",
	"libpthread.so.0":             "libc6",
	"librt.so.1":                  "libc6",
	"libresolv.so.2":              "libc6",
	"libutil.so.1":                "libc6",
	"libanl.so.1":                 "libc6",
	"libnsl.so.1":                 "libc6",
	"libcrypt.so.1":               "libcrypt1",
	"libgcc_s.so.1":               "libgcc-s1",
	"libstdc++.so.6":              "libstdc++6",
	"libgomp.so.1":                "libgomp1",
	"libatomic.so.1":              "libatomic1",
	"libquadmath.so.0":            "libquadmath0",
	"libgfortran.so.5":            "libgfortran5",
	"libssl.so.3":                 "libssl3t64",
	"libcrypto.so.3":              "libssl3t64",
	"libgnutls.so.30":             "libgnutls30t64",
	"libsodium.so.23":             "libsodium23",
	"libgcrypt.so.20":             "libgcrypt20",
	"libz.so.1":                   "zlib1g",
	"libbz2.so.1.0":               "libbz2-1.0",
	"liblzma.so.5":                "liblzma5",
	"libzstd.so.1":                "libzstd1",
	"liblz4.so.1":                 "liblz4-1",
	"libsnappy.so.1":              "libsnappy1v5",
	"libbrotlidec.so.1":           "libbrotli1",
	"libbrotlienc.so.1":           "libbrotli1",
	"libsqlite3.so.0":             "libsqlite3-0",
	"libpq.so.5":                  "libpq5",
	"libmariadb.so.3":             "libmariadb3",
	"libodbc.so.2":                "libodbc2",
	"librocksdb.so.9.10":          "librocksdb9.10",
	"libleveldb.so.1d":            "libleveldb1d",
	"liblmdb.so.0":                "liblmdb0",
	"libdb-5.3.so":                "libdb5.3t64",
	"libhiredis.so.1.1.0":         "libhiredis1.1.0",
	"librdkafka.so.1":             "librdkafka1",
	"libzmq.so.5":                 "libzmq5",
	"libxml2.so.2":                "libxml2",
	"libxslt.so.1":                "libxslt1.1",
	"libexpat.so.1":               "libexpat1",
	"libyaml-0.so.2":              "libyaml-0-2",
	"libffi.so.8":                 "libffi8",
	"libuuid.so.1":                "libuuid1",
	"libcurl.so.4":                "libcurl4t64",
	"libnghttp2.so.14":            "libnghttp2-14",
	"libssh2.so.1":                "libssh2-1t64",
	"libgit2.so.1.9":              "libgit2-1.9",
	"libgssapi_krb5.so.2":         "libgssapi-krb5-2",
	"libkrb5.so.3":                "libkrb5-3",
	"libldap.so.2":                "libldap2",
	"libpcap.so.0.8":              "libpcap0.8t64",
	"libseccomp.so.2":             "libseccomp2",
	"libcap.so.2":                 "libcap2",
	"libsystemd.so.0":             "libsystemd0",
	"libudev.so.1":                "libudev1",
	"libusb-1.0.so.0":             "libusb-1.0-0",
	"libncursesw.so.6":            "libncursesw6",
	"libtinfo.so.6":               "libtinfo6",
	"libreadline.so.8":            "libreadline8t64",
	"libpcre2-8.so.0":             "libpcre2-8-0",
	"libonig.so.5":                "libonig5",
	"libglib-2.0.so.0":            "libglib2.0-0t64",
	"libgobject-2.0.so.0":         "libglib2.0-0t64",
	"libvips.so.42":               "libvips42t64",
	"libjpeg.so.62":               "libjpeg62-turbo",
	"libpng16.so.16":              "libpng16-16t64",
	"libtiff.so.6":                "libtiff6",
	"libwebp.so.7":                "libwebp7",
	"libheif.so.1":                "libheif1",
	"libfreetype.so.6":            "libfreetype6",
	"libfontconfig.so.1":          "libfontconfig1",
	"libharfbuzz.so.0":            "libharfbuzz0b",
	"liblcms2.so.2":               "liblcms2-2",
	"libcairo.so.2":               "libcairo2",
	"libGL.so.1":                  "libgl1",
	"libX11.so.6":                 "libx11-6",
	"libasound.so.2":              "libasound2t64",
	"libgeos_c.so.1":              "libgeos-c1t64",
	"libproj.so.25":               "libproj25",
	"libopenblas.so.0":            "libopenblas0",
	"libgmp.so.10":                "libgmp10",
	"libmpfr.so.6":                "libmpfr6",
}

// packageOf returns the package that has a library or dynamic linker.
func packageOf(library string) string {
	name := path.Base(library)
	if p := packages[name]; p != "" {
		return p
	}
	// ICU's number moves with every release.
	if number, ok := strings.CutPrefix(name, "libicu"); ok {
		if _, number, ok = strings.Cut(number, ".so."); ok {
			return "libicu" + number
		}
	}
	return ""
}
