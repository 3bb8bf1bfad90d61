//! Tokens, namespaces, who is calling, and codes that sign in.

use tstr_shared::duration::Seconds;
use tstr_shared::error::Invalid;
use tstr_shared::namespace::{NamespaceInfo, NewNamespace, Quotas, Retention, Usage};
use tstr_shared::page::Page;
use tstr_shared::session::SessionCode;
use tstr_shared::token::{Identity, IssuedToken, NewToken, Token};

use super::run::numbers;
use super::{id, instant, namespace, number, optional_id, optional_instant, required, required_part, time};
use crate::v1 as pb;

/// How long a token is valid when the message does not say it; the same as in JSON.
pub(super) const DEFAULT_EXPIRY: Seconds = Seconds::hours(90 * 24);

impl From<NewToken> for pb::IssueTokenRequest {
    fn from(new: NewToken) -> Self {
        Self {
            name: new.name,
            scopes: new.scopes.into_iter().map(number).collect(),
            namespaces: new.namespaces,
            expires_in_secs: new.expires_in.0,
            idempotency_key: String::new(),
        }
    }
}

impl TryFrom<pb::IssueTokenRequest> for NewToken {
    type Error = Invalid;
    fn try_from(message: pb::IssueTokenRequest) -> Result<Self, Invalid> {
        Ok(Self {
            name: message.name,
            scopes: numbers("/scopes", message.scopes)?,
            namespaces: message.namespaces,
            expires_in: match message.expires_in_secs {
                0 => DEFAULT_EXPIRY,
                secs => Seconds(secs),
            },
        })
    }
}

impl From<Token> for pb::Token {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            scopes: token.scopes.into_iter().map(number).collect(),
            namespaces: token.namespaces,
            issued_by: token.issued_by.map(|id| id.to_string()).unwrap_or_default(),
            created_at: Some(time(token.created_at)),
            expires_at: Some(time(token.expires_at)),
            revoked_at: token.revoked_at.map(time),
            last_used_at: token.last_used_at.map(time),
        }
    }
}

impl TryFrom<pb::Token> for Token {
    type Error = Invalid;
    fn try_from(message: pb::Token) -> Result<Self, Invalid> {
        Ok(Self {
            id: id("/id", &message.id)?,
            name: message.name,
            scopes: numbers("/scopes", message.scopes)?,
            namespaces: message.namespaces,
            issued_by: optional_id("/issued_by", &message.issued_by)?,
            created_at: instant("/created_at", message.created_at)?,
            expires_at: instant("/expires_at", message.expires_at)?,
            revoked_at: optional_instant("/revoked_at", message.revoked_at)?,
            last_used_at: optional_instant("/last_used_at", message.last_used_at)?,
        })
    }
}

impl From<IssuedToken> for pb::IssueTokenResponse {
    fn from(issued: IssuedToken) -> Self {
        Self { token: issued.token, record: Some(issued.record.into()) }
    }
}

impl TryFrom<pb::IssueTokenResponse> for IssuedToken {
    type Error = Invalid;
    fn try_from(message: pb::IssueTokenResponse) -> Result<Self, Invalid> {
        Ok(Self { token: message.token, record: required_part("/record", message.record)? })
    }
}

impl From<Page<Token>> for pb::ListTokensResponse {
    fn from(page: Page<Token>) -> Self {
        Self {
            tokens: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<Quotas> for pb::Quotas {
    fn from(quotas: Quotas) -> Self {
        Self { max_queued: quotas.max_queued, max_running: quotas.max_running, max_bytes: quotas.max_bytes }
    }
}

impl From<pb::Quotas> for Quotas {
    fn from(message: pb::Quotas) -> Self {
        Self { max_queued: message.max_queued, max_running: message.max_running, max_bytes: message.max_bytes }
    }
}

impl From<Retention> for pb::Retention {
    fn from(retention: Retention) -> Self {
        Self { runs_days: retention.runs_days, logs_days: retention.logs_days }
    }
}

impl From<pb::Retention> for Retention {
    fn from(message: pb::Retention) -> Self {
        Self { runs_days: message.runs_days, logs_days: message.logs_days }
    }
}

impl From<Usage> for pb::Usage {
    fn from(usage: Usage) -> Self {
        Self { runs: usage.runs, log_bytes: usage.log_bytes, artifact_bytes: usage.artifact_bytes }
    }
}

impl From<pb::Usage> for Usage {
    fn from(message: pb::Usage) -> Self {
        Self { runs: message.runs, log_bytes: message.log_bytes, artifact_bytes: message.artifact_bytes }
    }
}

impl From<NewNamespace> for pb::CreateNamespaceRequest {
    fn from(new: NewNamespace) -> Self {
        Self {
            name: new.name.to_string(),
            quotas: Some(new.quotas.into()),
            idempotency_key: String::new(),
            retention: Some(new.retention.into()),
        }
    }
}

impl TryFrom<pb::CreateNamespaceRequest> for NewNamespace {
    type Error = Invalid;
    fn try_from(message: pb::CreateNamespaceRequest) -> Result<Self, Invalid> {
        Ok(Self {
            name: namespace("/name", &message.name)?,
            quotas: message.quotas.map(Into::into).unwrap_or_default(),
            retention: message.retention.map(Into::into).unwrap_or_default(),
        })
    }
}

impl From<NamespaceInfo> for pb::Namespace {
    fn from(info: NamespaceInfo) -> Self {
        Self {
            name: info.name.to_string(),
            created_at: Some(time(info.created_at)),
            quotas: Some(info.quotas.into()),
            tests: info.tests,
            retention: Some(info.retention.into()),
            usage: Some(info.usage.into()),
        }
    }
}

impl TryFrom<pb::Namespace> for NamespaceInfo {
    type Error = Invalid;
    fn try_from(message: pb::Namespace) -> Result<Self, Invalid> {
        Ok(Self {
            name: namespace("/name", &message.name)?,
            created_at: instant("/created_at", message.created_at)?,
            quotas: required("/quotas", message.quotas)?.into(),
            retention: message.retention.map(Into::into).unwrap_or_default(),
            tests: message.tests,
            usage: message.usage.map(Into::into).unwrap_or_default(),
        })
    }
}

impl From<Page<NamespaceInfo>> for pb::ListNamespacesResponse {
    fn from(page: Page<NamespaceInfo>) -> Self {
        Self {
            namespaces: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<Identity> for pb::GetIdentityResponse {
    fn from(identity: Identity) -> Self {
        Self { token: Some(identity.token.into()), namespaces: identity.namespaces }
    }
}

impl TryFrom<pb::GetIdentityResponse> for Identity {
    type Error = Invalid;
    fn try_from(message: pb::GetIdentityResponse) -> Result<Self, Invalid> {
        Ok(Self { token: required_part("/token", message.token)?, namespaces: message.namespaces })
    }
}

impl From<SessionCode> for pb::SessionCode {
    fn from(made: SessionCode) -> Self {
        Self { code: made.code, expires_at: Some(time(made.expires_at)), link: made.link.unwrap_or_default() }
    }
}

impl TryFrom<pb::SessionCode> for SessionCode {
    type Error = Invalid;
    fn try_from(message: pb::SessionCode) -> Result<Self, Invalid> {
        Ok(Self {
            code: message.code,
            expires_at: instant("/expires_at", message.expires_at)?,
            link: Some(message.link).filter(|link| !link.is_empty()),
        })
    }
}
