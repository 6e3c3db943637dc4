"""From a trunk's settings to how the user agent treats it."""

from services.gateway.sip.challenge import DigestChallenger
from services.gateway.sip.digest import Algorithm, Credentials
from services.gateway.sip.profile import Profile
from services.gateway.sip.reliable import OneHundredRel
from services.gateway.sip.sessiontimer import SessionTimerMode, SessionTimerPolicy
from services.gateway.trunk_settings import ChallengeSettings, CredentialsSettings, TrunkSettings

# RFC 7616 §5.4: long enough for a call's requests, short enough to be of little use to who steals one.
NONCE_LIFETIME_S = 300.0


def profile_of(trunk: TrunkSettings, secret: bytes) -> Profile:
    """`secret` seals the nonces of our challenges; all workers of a gateway have the same."""
    timer = trunk.session_timer
    return Profile(
        name=trunk.name,
        challenger=None if trunk.challenge is None else _challenger(trunk.challenge, secret),
        credentials=None if trunk.credentials is None else _credentials(trunk.credentials),
        session_timer=SessionTimerPolicy(SessionTimerMode(timer.mode), timer.expires_s, timer.min_se_s),
        one_hundred_rel=OneHundredRel(trunk.one_hundred_rel),
        refer=trunk.refer == "follow",
    )


def _challenger(settings: ChallengeSettings, secret: bytes) -> DigestChallenger:
    users = {user: password.get_secret_value() for user, password in settings.users.items()}
    algorithms = [Algorithm.named(name) or Algorithm.MD5 for name in settings.algorithms]
    return DigestChallenger(settings.realm, users, algorithms, secret, NONCE_LIFETIME_S)


def _credentials(settings: CredentialsSettings) -> Credentials:
    return Credentials(settings.username, settings.password.get_secret_value(), settings.realm)
