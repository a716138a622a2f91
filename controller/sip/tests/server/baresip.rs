//! baresip, a softphone that many people use: it registers, places a session and receives one, without a microphone.

use std::io::Write;
use std::net::{IpAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Application, Bench, backup, config, storage};
use svpn_sip::config::{Carrier, DigestAlgorithm, SipConfig};
use svpn_vpn::request::{Cause, CeName};

/// A running softphone.
struct Phone {
    process: Child,
    address: IpAddr,
    folder: PathBuf,
}

impl Phone {
    /// A phone of this application, which answers when it is called.
    fn start(bench: &Bench, application: Application) -> Self {
        let Application { name, ce, address, port } = application;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("baresip-{address}"));
        std::fs::create_dir_all(&folder).unwrap();
        let server = bench.address();
        let config = format!(
            "sip_listen {address}:{port}\nnet_interface {address}\nctrl_tcp_listen {address}:4444\nmodule_path /usr/lib/baresip/modules\n\
             module g711.so\nmodule aufile.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             rtp_bandwidth 512-1024\naudio_source aufile,{1}\naudio_player aufile,{0}\naudio_alert aufile,{0}\n",
            folder.join("heard.wav").display(),
            folder.join("silence.wav").display()
        );
        // A softphone knows no Contact parameters of its own; what follows the weight of the contact goes there as it stands.
        let account = format!(
            "<sip:{name}@vpn-a.provider.example>;auth_user={name};auth_pass={name}-s3cret;outbound=\"sip:{server};transport=udp\";regint=60;\
             regq=\"0.5;svpn-ce={ce}\";audio_codecs=PCMU;answermode=auto\n"
        );
        std::fs::write(folder.join("config"), config).unwrap();
        std::fs::write(folder.join("accounts"), account).unwrap();
        std::fs::write(folder.join("contacts"), "").unwrap();
        std::fs::write(folder.join("silence.wav"), silence()).unwrap();
        let process = Command::new("baresip")
            .arg("-f")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.join("log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .expect("baresip is installed (Debian: baresip-core)");
        Self { process, address, folder }
    }

    /// Tells the phone to do something, as soon as it listens.
    fn tell(&self, command: &str, parameters: &str) {
        let json = format!("{{\"command\":\"{command}\",\"params\":\"{parameters}\"}}");
        for _ in 0..200 {
            if let Ok(mut control) = TcpStream::connect((self.address, 4444)) {
                control.write_all(format!("{}:{json},", json.len()).as_bytes()).unwrap();
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("baresip does not listen: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Waits until the phone says this.
    async fn says(&self, text: &str) {
        for _ in 0..400 {
            if self.log().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("baresip does not say {text}: {}", self.log());
    }
}

/// Ten seconds of nothing: a WAV file of 16-bit samples, 8,000 a second.
fn silence() -> Vec<u8> {
    const SAMPLES: u32 = 160_000;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + SAMPLES).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16u32.to_le_bytes());
    // PCM, one channel, 8,000 samples and 16,000 bytes a second, 2 bytes and 16 bits a sample.
    file.extend([1u16, 1].into_iter().flat_map(u16::to_le_bytes));
    file.extend([8_000u32, 16_000].into_iter().flat_map(u32::to_le_bytes));
    file.extend([2u16, 16].into_iter().flat_map(u16::to_le_bytes));
    file.extend(b"data");
    file.extend(SAMPLES.to_le_bytes());
    file.resize(44 + 160_000, 0);
    file
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_softphone_places_and_receives_a_session() {
    // Debian's baresip 1.0 gives up where SHA-256 is offered at all, even below MD5.
    let digest = vec![DigestAlgorithm::Md5];
    let bench = Bench::configured(SipConfig { digest, ..config(Carrier::Udp, Duration::from_secs(40)) }).await;
    let calling = Phone::start(&bench, storage());
    let called = Phone::start(&bench, backup());
    for phone in [&calling, &called] {
        phone.says("200 OK () [1 binding]").await;
    }
    calling.tell("dial", "sip:backup@vpn-a.provider.example");
    calling.says("Call established").await;
    called.says("Call established").await;
    calling.tell("hangup", "");
    assert_eq!(bench.gateway.settled().await, [Cause::Caller]);
    let record = bench.gateway.records().remove(0);
    assert_eq!(record.request.caller.to_string(), "storage@vpn-a");
    assert_eq!(record.request.callee_ce, CeName("a-west".to_owned()));
}
