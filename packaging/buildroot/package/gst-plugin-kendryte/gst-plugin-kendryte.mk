################################################################################
#
# gst-plugin-kendryte
#
################################################################################

GST_PLUGIN_KENDRYTE_VERSION = 0.1.0
# The tree that this file is in, with the crates that `make vendor` puts there.
GST_PLUGIN_KENDRYTE_SITE = $(BR2_EXTERNAL_KENDRYTE_PATH)/../..
GST_PLUGIN_KENDRYTE_SITE_METHOD = local
GST_PLUGIN_KENDRYTE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude /target --exclude /builddir --exclude /demo
GST_PLUGIN_KENDRYTE_LICENSE = MIT or Apache-2.0, \
	vendored dependencies licenses probably not listed
GST_PLUGIN_KENDRYTE_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
GST_PLUGIN_KENDRYTE_DEPENDENCIES = \
	host-pkgconf host-rustc gstreamer1 gst1-plugins-base
# Buildroot's 16 units and no LTO would make the plugin larger, by about a tenth on x86-64.
GST_PLUGIN_KENDRYTE_NINJA_ENV = $(PKG_CARGO_ENV) \
	CARGO_PROFILE_RELEASE_LTO=thin CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
# The simulated K210 board is for those who develop; the program k210-sim has it too.
GST_PLUGIN_KENDRYTE_CONF_OPTS = \
	-Dcargo_target=$(RUSTC_TARGET_NAME) \
	-Dplugindir=lib/gstreamer-1.0 \
	-Dsim=false

ifeq ($(BR2_PACKAGE_HAS_UDEV),)
GST_PLUGIN_KENDRYTE_CONF_OPTS += -Dudevrulesdir=
endif

# Cargo is not to look for crates on the network.
define GST_PLUGIN_KENDRYTE_CHECK_VENDORED
	test -d $(@D)/vendor || \
		{ echo "Run 'make vendor' in $(GST_PLUGIN_KENDRYTE_SITE) first." >&2; exit 1; }
endef
GST_PLUGIN_KENDRYTE_PRE_CONFIGURE_HOOKS += GST_PLUGIN_KENDRYTE_CHECK_VENDORED

$(eval $(meson-package))
