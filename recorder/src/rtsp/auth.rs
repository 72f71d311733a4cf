// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may watch: whoever has the page's password or the programs' token, whatever the user is called.
//! Passwords are known by their hash alone, so that they have to come as they are (`Basic`, RFC 7617): in
//! the network over TLS.

use std::sync::{Arc, OnceLock};

use gst::glib;
use gst_rtsp_server::gst_rtsp;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::subclass::prelude::*;
use gst_rtsp_server::{RTSPContext, RTSPToken};

use super::factory::VIEWER;
use crate::http::auth::Auth;

glib::wrapper! {
    /// Turns away who has neither.
    pub struct Gate(ObjectSubclass<imp::Gate>) @extends gst_rtsp_server::RTSPAuth;
}

impl Gate {
    /// Where nobody has to sign in, all may watch.
    pub fn new(auth: Arc<Auth>) -> Self {
        let gate = glib::Object::new::<Self>();
        // Nobody else sets it.
        let _ = gate.imp().0.set(auth);
        gate.set_supported_methods(gst_rtsp::RTSPAuthMethod::Basic);
        gate.set_realm(Some("kendryte-recorder"));
        gate
    }
}

/// The password of what a client sends as `Basic`.
fn password(authorization: &str) -> Option<String> {
    let bytes = glib::base64_decode(authorization);
    let text = String::from_utf8(bytes).ok()?;
    let (_, password) = text.split_once(':')?;
    Some(password.to_owned())
}

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    pub struct Gate(pub OnceLock<Arc<Auth>>);

    #[glib::object_subclass]
    impl ObjectSubclass for Gate {
        const NAME: &'static str = "KendryteRtspGate";
        type Type = super::Gate;
        type ParentType = gst_rtsp_server::RTSPAuth;
    }

    impl ObjectImpl for Gate {}

    impl RTSPAuthImpl for Gate {
        fn authenticate(&self, context: &RTSPContext) -> bool {
            let Some(auth) = self.0.get() else {
                return false;
            };
            let credentials = context.request().map(|it| it.parse_auth_credentials());
            let mut passwords = credentials
                .iter()
                .flat_map(|all| all.iter())
                .filter(|it| it.scheme() == gst_rtsp::RTSPAuthMethod::Basic)
                .filter_map(|it| password(it.authorization()?));
            let known = !auth.is_needed() || passwords.any(|it| auth.is_known_to_program(&it));
            if known {
                let token = RTSPToken::builder().field("media.factory.role", VIEWER);
                context.set_token(token.build());
            }
            known
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_have_colons() {
        let sent = |text: &str| password(&glib::base64_encode(text.as_bytes()));
        assert_eq!(sent("me:a:b").as_deref(), Some("a:b"));
        assert_eq!(sent("me:").as_deref(), Some(""));
        assert_eq!(sent("me"), None);
        assert_eq!(password("***"), None);
    }
}
