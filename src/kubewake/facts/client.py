"""What program sent the request, as far as its user agent tells: the client chooses that text."""

import re
from functools import lru_cache

from msgspec import Struct

from kubewake.facts.facts import Facts
from kubewake.facts.registry import field


class Client(Struct, frozen=True, gc=False):
    """A user agent taken apart."""

    family: str
    version: str
    platform: str


FAMILIES: tuple[tuple[str, str], ...] = (
    ("kubectl", r"kubectl(?:[-._][a-z0-9_.-]+)?(?:\.exe)?/"),
    ("kubelet", r"kubelet/"),
    ("kube-controller-manager", r"(?:kube-controller-manager|hyperkube|cloud-controller-manager)/"),
    ("kube-scheduler", r"kube-scheduler/"),
    ("kube-apiserver", r"kube-apiserver/"),
    ("kube-proxy", r"kube-proxy/"),
    ("kubeadm", r"kubeadm/"),
    ("probe", (r"(?:kube-probe|GoogleHC|ELB-HealthChecker|Blackbox[ -]Exporter|HAProxy|Amazon-Route53|UptimeRobot|"
              r"Pingdom|Site24x7|StatusCake|Envoy/HC|nginx-healthcheck|LB-HealthCheck|kube-vip/health)")),
    ("helm", r"(?:helm|helmfile|helm-operator)/|Helm/"),
    ("terraform", r"(?:HashiCorp/|terraform|OpenTofu|pulumi)"),
    ("argocd", r"argocd"),
    ("flux", (r"(?:flux/|source-controller/|kustomize-controller/|helm-controller/|notification-controller/|"
             r"image-(?:reflector|automation)-controller/)")),
    ("k9s", r"k9s/"),
    ("lens", r"(?:Lens|OpenLens|freelens|lens-)"),
    ("dashboard", r"(?:dashboard/|headlamp|octant|rancher/|kubesphere)"),
    ("oc", r"oc/"),
    ("powershell", r".*PowerShell"),
    ("browser", r"Mozilla/|Opera/"),
    ("curl", r"(?:curl|libcurl)[/ ]?"),
    ("wget", r"(?:Wget|BusyBox|axel|aria2)"),
    ("python", (r"(?:python|aiohttp|urllib3|httpx|OpenAPI-Generator/.*/python|Swagger-Codegen/.*/python|kr8s|lightkube|"
               r"kubernetes-asyncio|pykube|k8s-sidecar|kopf|ansible|Ansible)")),
    ("java", (r"(?:Java/|Java-http-client|okhttp|Apache-HttpClient|fabric8|Jersey|OpenAPI-Generator/.*/java|"
             r"Swagger-Codegen/.*/java|kubernetes-client-java|Kubernetes Java Client|vertx|Vert\.x|jetty)")),
    ("node", (r"(?:node(?:js)?(?:[/ ]|-fetch|$)|axios|got[/ ]|undici|OpenAPI-Generator/.*/(?:javascript|typescript)|"
             r"kubernetes-client-javascript|superagent|needle)")),
    ("ruby", r"(?:Ruby|rest-client|Faraday|kubeclient)"),
    ("perl", r"(?:libwww-perl|lwp|Mojolicious)"),
    ("php", r"(?:PHP|GuzzleHttp)"),
    ("rust", r"(?:reqwest|hyper/|kube-rs|rust)"),
    ("postman", r"(?:PostmanRuntime|insomnia|HTTPie|Hoppscotch)"),
    ("go-http-client", r"Go-http-client/|go-http"),
)  # fmt: skip
"""Client families in order of precedence, by the start of the user agent (ignoring case)."""

_FAMILIES = tuple((family, re.compile(pattern, re.IGNORECASE)) for family, pattern in FAMILIES)

SCRIPTS = frozenset(
    {"curl", "wget", "powershell", "python", "node", "ruby", "perl", "php", "rust", "postman", "go-http-client", "java"}
)
"""Families of general-purpose HTTP clients and language libraries."""

ATTACK_TOOLS: tuple[str, ...] = (
    "access_matrix", "amicontained", "azurehound", "badrobot", "botb", "break-out-the-box", "burp", "cdk-team",
    "deepce", "dirb", "dirbuster", "feroxbuster", "ffuf", "gobuster", "kali", "kdigger", "kube-bench",
    "kube-hunter", "kube-recon", "kubeaudit", "kubehound", "kubectl-who-can", "kubehunter", "kubeletctl", "kubelet-exploit",
    "kubescape-attack", "kubesploit", "kubiscan", "kubolt", "leakix", "masscan", "metasploit", "micro-scanner",
    "mtkpi", "nessus", "nikto", "nmap", "nuclei", "openvas", "peirates", "rakkess", "red-kube", "redkube", "shodan",
    "sliver", "sqlmap", "stratus-red-team", "trufflehog", "wfuzz", "whatweb", "zgrab", "zmap", "censysinspect",
    "l9explore", "l9tcpid", "expanse", "internet-measurement", "kubestalk", "kubestroyer", "managed-kubernetes-auditing",
)  # fmt: skip
"""Names by which offensive and scanning tools introduce themselves; a user agent that contains one as a word."""

_ATTACK_TOOL = re.compile(
    rf"(?<![a-z0-9])(?:{'|'.join(re.escape(name) for name in sorted(ATTACK_TOOLS, key=len, reverse=True))})(?![a-z])"
)
_GO_CLIENT = re.compile(r"[\w.+:@ -]+/[^ ]+ \([a-z0-9]+/[a-z0-9_]+\)", re.IGNORECASE)
_VERSION = re.compile(r"/v?([0-9][\w.+-]*)")
_PLATFORM = re.compile(r"\(([a-z0-9]+/[a-z0-9_]+)\)", re.IGNORECASE)
_BROWSER_PLATFORM = re.compile(r"\((Windows|Macintosh|X11|Linux|iPhone|iPad|Android)")
_BROWSER_SYSTEMS = {"Macintosh": "darwin", "X11": "linux", "iPhone": "ios", "iPad": "ios"}


@lru_cache(maxsize=4096)
def attack_tool_of(user_agent: str) -> str:
    """The attack tool that the text names; empty if none."""
    match = _ATTACK_TOOL.search(user_agent.lower())
    return match.group() if match is not None else ""


@lru_cache(maxsize=4096)
def parse_user_agent(user_agent: str) -> Client:
    """Take a user agent apart; unknown parts are empty."""
    if not user_agent:
        return Client("empty", "", "")
    version = _VERSION.search(user_agent)
    platform = _PLATFORM.search(user_agent)
    system = platform.group(1).lower() if platform is not None else ""
    if not system:
        browser = _BROWSER_PLATFORM.search(user_agent)
        if browser is not None:
            system = _BROWSER_SYSTEMS.get(browser.group(1), browser.group(1).lower())
    number = version.group(1) if version is not None else ""
    if attack_tool_of(user_agent):
        return Client("attack-tool", number, system)
    for family, pattern in _FAMILIES:
        if pattern.match(user_agent):
            return Client(family, number, system)
    if _GO_CLIENT.match(user_agent) or "kubernetes/" in user_agent:
        return Client("client-go", number, system)
    return Client("other", number, system)


def _client(facts: Facts) -> Client:
    return parse_user_agent(facts.event.user_agent or "")


@field(
    "client.family",
    "text",
    "Family of the program that sent the request, from its user agent: kubectl, kubelet, kube-controller-manager, "
    "kube-scheduler, kube-apiserver, kube-proxy, kubeadm, client-go (a controller binary), helm, terraform, argocd, "
    "flux, k9s, lens, dashboard, oc, browser, curl, wget, powershell, python, java, node, ruby, perl, php, rust, "
    "postman, go-http-client, probe, attack-tool, empty or other. The client's word, not proof.",
    scope="behaviour",
    example="kubectl",
)
def client_family(facts: Facts) -> str:
    user_agent = facts.event.user_agent or ""
    for pattern in facts.context.user_agents.values():
        if pattern.search(user_agent):
            return "attack-tool"
    return parse_user_agent(user_agent).family


@field("client.version", "text", "Version that the client states; none if it states none.", scope="behaviour",
       example="1.32.4")  # fmt: skip
def client_version(facts: Facts) -> str | None:
    return _client(facts).version or None


@field("client.platform", "text", "Operating system and processor that the client states.", scope="behaviour",
       example="linux/amd64")  # fmt: skip
def client_platform(facts: Facts) -> str | None:
    return _client(facts).platform or None


@field(
    "client.attack_tool",
    "text",
    "Name of the offensive or scanning tool that the user agent names, or of the user-agent list that it is on; "
    "empty if none.",
    scope="behaviour",
    example="kube-hunter",
)
def attack_tool(facts: Facts) -> str:
    user_agent = facts.event.user_agent or ""
    for name, pattern in facts.context.user_agents.items():
        if pattern.search(user_agent):
            return name
    return attack_tool_of(user_agent)


@field(
    "client.is_script",
    "boolean",
    "Whether the client is a general-purpose HTTP client or language library (curl, wget, python, …) rather than a "
    "Kubernetes program.",
    scope="behaviour",
    example="true",
)
def is_script(facts: Facts) -> bool:
    return client_family(facts) in SCRIPTS
