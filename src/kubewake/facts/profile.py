"""Known components doing their own job: who they are, what they may do, with which client and from where."""

from kubewake.facts.client import client_family
from kubewake.facts.facts import Facts
from kubewake.facts.profiles import Profile, profile_of
from kubewake.facts.registry import field
from kubewake.facts.source import peer, scope_of_address


def _profile(facts: Facts) -> Profile | None:
    return profile_of(facts.username)


@field("actor.component", "text", "The well-known component whose name the identity bears; see actor.in_profile.",
       scope="behaviour", example="argo-cd")  # fmt: skip
def component(facts: Facts) -> str | None:
    found = _profile(facts)
    return found.component if found is not None else None


def client_fits(facts: Facts, profile: Profile) -> bool:
    """Whether the client is one that the component uses.

    Old servers do not log clients: what comes from the control plane's own host passes without, and so does what has
    neither client nor source.
    """
    user_agent = facts.event.user_agent or ""
    if not user_agent:
        return scope_of_address(peer(facts)) == "loopback" or not peer(facts)
    if client_family(facts) == "attack-tool":
        return False
    return user_agent.startswith(profile.clients)


def origin_fits(facts: Facts, profile: Profile) -> bool:
    """Whether the request came from where the component lives: a private address, or one that the user trusts."""
    address = peer(facts)
    if not address:
        return not facts.event.user_agent
    scope = scope_of_address(address)
    if profile.origin == "loopback":
        return scope == "loopback"
    trusted = facts.context.trusted_sources
    return scope in ("loopback", "private", "cgnat") or (trusted is not None and address in trusted)


@field("actor.client_fits", "boolean", "For the identity of a known component: whether the client is one that this "
       "component uses. None for all others.", scope="behaviour", example="false")  # fmt: skip
def has_fitting_client(facts: Facts) -> bool | None:
    found = _profile(facts)
    return client_fits(facts, found) if found is not None else None


@field("actor.job_fits", "boolean", "For the identity of a known component: whether the request is within what such "
       "components are known to do. None for all others.", scope="behaviour", example="false")  # fmt: skip
def has_fitting_job(facts: Facts) -> bool | None:
    found = _profile(facts)
    if found is None:
        return None
    return found.allows(facts.verb, facts.api_group, facts.resource, facts.subresource, facts.namespace)


@field("actor.origin_fits", "boolean", "For the identity of a known component: whether the request came from where "
       "such components live. None for all others.", scope="behaviour", example="false")  # fmt: skip
def has_fitting_origin(facts: Facts) -> bool | None:
    found = _profile(facts)
    return origin_fits(facts, found) if found is not None else None


@field(
    "actor.in_profile",
    "boolean",
    "Whether a known component is doing its own job: the identity bears its name, the request is within what it is "
    "allowed to do, and client and origin fit. False for everyone else, and for a component whose identity shows up "
    "with another client, from outside, impersonating, or doing something else.",
    scope="behaviour",
    example="true",
)
def in_profile(facts: Facts) -> bool:
    found = _profile(facts)
    return (
        found is not None
        and facts.event.impersonated_user is None
        and bool(has_fitting_job(facts))
        and bool(has_fitting_client(facts))
        and bool(has_fitting_origin(facts))
    )
