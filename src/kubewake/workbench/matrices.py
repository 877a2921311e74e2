"""The two attack matrices that coverage is measured against, by id and name.

ATT&CK for Containers (https://attack.mitre.org/matrices/enterprise/containers/, version 17) and Microsoft's Threat Matrix
for Kubernetes (https://microsoft.github.io/Threat-Matrix-for-Kubernetes/, third version).
"""

ATTACK_VERSION = "17"
NAVIGATOR_VERSION = "5.1.0"
LAYER_VERSION = "4.5"

CONTAINERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "T1190": ("Exploit Public-Facing Application", ("initial-access",)),
    "T1133": ("External Remote Services", ("initial-access", "persistence")),
    "T1078": ("Valid Accounts", ("initial-access", "persistence", "privilege-escalation", "defense-evasion")),
    "T1609": ("Container Administration Command", ("execution",)),
    "T1610": ("Deploy Container", ("execution", "defense-evasion")),
    "T1053.007": ("Container Orchestration Job", ("execution", "persistence", "privilege-escalation")),
    "T1204.003": ("Malicious Image", ("execution",)),
    "T1098.006": ("Additional Container Cluster Roles", ("persistence", "privilege-escalation")),
    "T1136": ("Create Account", ("persistence",)),
    "T1543.005": ("Container Service", ("persistence", "privilege-escalation")),
    "T1525": ("Implant Internal Image", ("persistence",)),
    "T1611": ("Escape to Host", ("privilege-escalation",)),
    "T1068": ("Exploitation for Privilege Escalation", ("privilege-escalation",)),
    "T1612": ("Build Image on Host", ("defense-evasion",)),
    "T1562.001": ("Disable or Modify Tools", ("defense-evasion",)),
    "T1070": ("Indicator Removal", ("defense-evasion",)),
    "T1036": ("Masquerading", ("defense-evasion",)),
    "T1550.001": ("Application Access Token", ("defense-evasion", "lateral-movement")),
    "T1110": ("Brute Force", ("credential-access",)),
    "T1552.001": ("Credentials In Files", ("credential-access",)),
    "T1552.007": ("Container API", ("credential-access",)),
    "T1528": ("Steal Application Access Token", ("credential-access",)),
    "T1613": ("Container and Resource Discovery", ("discovery",)),
    "T1046": ("Network Service Discovery", ("discovery",)),
    "T1069": ("Permission Groups Discovery", ("discovery",)),
    "T1485": ("Data Destruction", ("impact",)),
    "T1499": ("Endpoint Denial of Service", ("impact",)),
    "T1490": ("Inhibit System Recovery", ("impact",)),
    "T1498": ("Network Denial of Service", ("impact",)),
    "T1496": ("Resource Hijacking", ("impact",)),
}
"""Techniques of the Containers matrix; of sub-techniques only those that mean something of their own in a cluster."""

THREAT_MATRIX: dict[str, str] = {
    "MS-TA9001": "Using cloud credentials",
    "MS-TA9002": "Compromised image in registry",
    "MS-TA9003": "Kubeconfig file",
    "MS-TA9004": "Application vulnerability",
    "MS-TA9005": "Exposed sensitive interfaces",
    "MS-TA9006": "Exec into container",
    "MS-TA9007": "Bash or cmd inside container",
    "MS-TA9008": "New container",
    "MS-TA9009": "Application exploit (RCE)",
    "MS-TA9010": "SSH server running inside container",
    "MS-TA9011": "Sidecar injection",
    "MS-TA9012": "Backdoor container",
    "MS-TA9013": "Writable hostPath mount",
    "MS-TA9014": "Kubernetes CronJob",
    "MS-TA9015": "Malicious admission controller",
    "MS-TA9016": "Container service account",
    "MS-TA9017": "Static pods",
    "MS-TA9018": "Privileged container",
    "MS-TA9019": "Cluster-admin binding",
    "MS-TA9020": "Access cloud resources",
    "MS-TA9021": "Clear container logs",
    "MS-TA9022": "Delete events",
    "MS-TA9023": "Pod or container name similarity",
    "MS-TA9024": "Connect from proxy server",
    "MS-TA9025": "List Kubernetes secrets",
    "MS-TA9026": "Mount service principal",
    "MS-TA9027": "Application credentials in configuration files",
    "MS-TA9028": "Access managed identity credentials",
    "MS-TA9029": "Access the Kubernetes API server",
    "MS-TA9030": "Access the kubelet API",
    "MS-TA9031": "Network mapping",
    "MS-TA9033": "Instance metadata API",
    "MS-TA9034": "Cluster internal networking",
    "MS-TA9035": "CoreDNS poisoning",
    "MS-TA9036": "ARP poisoning and IP spoofing",
    "MS-TA9037": "Images from a private registry",
    "MS-TA9038": "Data destruction",
    "MS-TA9039": "Resource hijacking",
    "MS-TA9040": "Denial of service",
    "MS-TA9041": "Collecting data from pod",
}
"""Techniques of the Threat Matrix; the number 9032 is not in use."""
