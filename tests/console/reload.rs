//! Addresses that forms are sent to, asked for anew: a browser does so with what stands in its address bar.

use crate::support::{Browser, Server};
use chappe::store::console::people::Role;

const ANNA: &str = "+9996600011";

#[tokio::test]
async fn where_a_form_was_sent_a_page_is_found() {
    let server = Server::start(|_| {}).await;
    server.admit("alice", ANNA, Role::Owner).await;
    let mut anna = Browser::new(&server);
    anna.log_in(&server, ANNA).await;
    for (path, page) in [
        ("/budget/alert", "/budget"),
        ("/profile/customer", "/profile"),
        ("/profile/own-number", "/profile"),
        ("/sessions/end", "/sessions"),
        ("/sessions/others", "/sessions"),
        ("/senders/shop/check", "/senders/shop"),
        ("/tokens/1/show", "/tokens/1"),
        ("/tokens/1/ranges", "/tokens/1"),
        ("/tokens/1/name", "/tokens/1"),
        ("/reports/again", "/reports"),
        ("/reports/recover", "/reports"),
        ("/reports/check", "/reports"),
        ("/operator/accounts/1/credit", "/operator/accounts/1"),
        ("/operator/accounts/1/adjust", "/operator/accounts/1"),
        ("/login/again", "/login"),
        ("/logout", "/overview"),
        ("/switch", "/overview"),
    ] {
        let answer = anna.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some(page)), "{path}");
    }
    server.stop();
}
