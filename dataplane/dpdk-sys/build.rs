//! Finds DPDK, generates its bindings and compiles the inline functions' shims.
//!
//! - `pkg-config` knows where DPDK is and how it was compiled.
//! - `bindgen` reads the installed headers, so struct layouts are those of the installed version.
//! - `cc` compiles the functions that DPDK offers only as `static inline`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Oldest DPDK whose API this crate is written against.
const OLDEST_DPDK: &str = "22.11";

const FUNCTIONS: &[&str] = &[
    "rte_dev_probe",
    "rte_dev_remove",
    "rte_eal_get_lcore_state",
    "rte_eal_get_runtime_dir",
    "rte_eal_has_hugepages",
    "rte_eal_init",
    "rte_eal_remote_launch",
    "rte_eal_wait_lcore",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_close",
    "rte_eth_dev_configure",
    "rte_eth_dev_get_mtu",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_dev_info_get",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_link_get_nowait",
    "rte_eth_macaddr_get",
    "rte_eth_promiscuous_disable",
    "rte_eth_promiscuous_enable",
    "rte_eth_rx_queue_setup",
    "rte_eth_stats_get",
    "rte_eth_tx_queue_setup",
    "rte_free",
    "rte_get_tsc_hz",
    "rte_mempool_avail_count",
    "rte_pdump_init",
    "rte_pktmbuf_pool_create",
    "rte_rcu_qsbr_get_memsize",
    "rte_rcu_qsbr_init",
    "rte_rcu_qsbr_thread_register",
    "rte_rcu_qsbr_thread_unregister",
    "rte_ring_get_memsize",
    "rte_ring_init",
    "rte_tel_data_add_array_u64",
    "rte_tel_data_add_dict_(container|string|u64)",
    "rte_tel_data_(alloc|free|start_array|start_dict)",
    "rte_telemetry_register_cmd",
    "rte_thread_register",
    "rte_thread_unregister",
    "rte_version",
    "rte_zmalloc_socket",
    "svpn_.*",
];

const VARIABLES: &[&str] = &[
    "RING_F_(SP_ENQ|SC_DEQ|EXACT_SZ)",
    "RTE_ETH_LINK_(UP|FULL_DUPLEX)",
    "RTE_ETH_MQ_RX_(NONE|RSS)",
    "RTE_ETH_NAME_MAX_LEN",
    "RTE_LOG_(EMERG|ALERT|CRIT|ERR|WARNING|NOTICE|INFO|DEBUG)",
    "RTE_PKTMBUF_HEADROOM",
    "RTE_TEL_U64_VAL",
    "RUNNING",
    "SVPN_.*",
];

fn main() {
    for file in ["shim.h", "shim.c", "operations.h", "operations.c"] {
        println!("cargo::rerun-if-changed=src/{file}");
    }

    pkg_config::Config::new()
        .atleast_version(OLDEST_DPDK)
        .probe("libdpdk")
        .unwrap_or_else(|error| panic!("DPDK {OLDEST_DPDK} or newer is needed (Debian: libdpdk-dev): {error}"));
    let flags = compiler_flags();

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut bindings = bindgen::Builder::default()
        .header("src/shim.h")
        .header("src/operations.h")
        .clang_args(&flags)
        .layout_tests(true)
        .derive_default(true)
        .generate_comments(false)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        // Reached only through pointers, and their packed or over-aligned members confuse layouts.
        .opaque_type("rte_mempool")
        .opaque_type("rte_device")
        .opaque_type("rte_rcu_qsbr")
        .opaque_type("rte_ring")
        .rust_edition(bindgen::RustEdition::Edition2024);
    for name in FUNCTIONS {
        bindings = bindings.allowlist_function(name);
    }
    for name in VARIABLES {
        bindings = bindings.allowlist_var(name);
    }
    bindings.generate().expect("bindgen reads DPDK's headers").write_to_file(out.join("bindings.rs")).expect("OUT_DIR is writable");

    let mut shim = cc::Build::new();
    shim.file("src/shim.c").file("src/operations.c").opt_level(3).warnings(true);
    for flag in &flags {
        shim.flag(flag);
    }
    shim.compile("svpn_dpdk_shim");
}

/// All of DPDK's compiler flags. The `pkg-config` crate keeps only paths and definitions, but
/// `-march` and `-include rte_config.h` decide the layout and the code of inline functions.
fn compiler_flags() -> Vec<String> {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(program).args(["--cflags", "libdpdk"]).output().expect("pkg-config runs");
    assert!(output.status.success(), "pkg-config --cflags libdpdk failed");
    String::from_utf8(output.stdout).expect("pkg-config prints UTF-8").split_whitespace().map(str::to_owned).collect()
}
