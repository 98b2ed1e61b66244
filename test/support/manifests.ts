/** Manifests that must be taken, and manifests that must be refused with these words: by the apiserver and by our parser. */

type Spec = Record<string, unknown>;
export interface InvalidCase {
  readonly title: string;
  readonly kind: "SecretSync" | "SecretProvider" | "ClusterSecretProvider" | "ClusterSecretSync";
  readonly spec: unknown;
  /** Part of the apiserver's message. */
  readonly message: string;
  /** Part of our parser's message, where it isn't the same sentence. */
  readonly ours?: string;
}

const entry = (more: Spec = {}, ref: Spec = {}) => ({
  secretKey: "a",
  remoteRef: { key: "k", ...ref },
  ...more,
});
const sync = (more: Spec = {}): Spec => ({ providerRef: { name: "aws" }, data: [entry()], ...more });
const from = (more: Spec): Spec => ({ providerRef: { name: "aws" }, dataFrom: [more] });
const target = (more: Spec): Spec => sync({ target: more });
const metadata = (more: Spec): Spec => target({ template: { metadata: more } });
const restart = (more: Spec): Spec => sync({ restart: more });
const aws = (more: Spec = {}): Spec => ({ aws: { regions: ["eu-west-1"], ...more } });
const cluster = (more: Spec = {}): Spec => ({
  ...aws(),
  access: [{ namespaces: { all: true }, keys: ["**"] }],
  ...more,
});
const without = (member: Spec): Spec => {
  const { aws: _aws, ...rest } = cluster(member);
  return rest;
};
const fanOut = (more: Spec = {}, template: Spec = {}): Spec => ({
  namespaces: { all: true },
  template: { spec: sync(), ...template },
  ...more,
});
const access = (rule: unknown): Spec => cluster({ access: [rule] });

export const validSyncs: Readonly<Record<string, Spec>> = {
  "the shortest": sync(),
  "a cluster provider": sync({ providerRef: { kind: "ClusterSecretProvider", name: "aws.prod" } }),
  "a provider for each entry": {
    data: [entry({ providerRef: { name: "a" } })],
    dataFrom: [{ extract: { key: "k" }, providerRef: { name: "b" } }],
  },
  "a version": sync({ data: [entry({}, { version: "f7f11811-6935-4d19-8f82-4dfc304faa9b" })] }),
  "a stage": sync({ data: [entry({}, { versionStage: "AWSPREVIOUS" })] }),
  "an ARN as key": sync({
    data: [entry({}, { key: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf" })],
  }),
  "a default": sync({ data: [entry({ default: "" })] }),
  "an optional entry": sync({ data: [entry({ optional: true })] }),
  "optional false with a default": sync({ data: [entry({ optional: false, default: "x" })] }),
  "every decoding": sync({
    data: ["None", "Base64", "Base64URL", "Auto"].map((decodingStrategy, index) => ({
      secretKey: `k${index}`,
      remoteRef: { key: "k", decodingStrategy },
    })),
  }),
  "extract with rewrite": from({
    extract: { key: "k" },
    rewrite: [{ regexp: { source: "^(.*)$", target: "APP_$1" } }],
  }),
  "rewrites by groups of every form": from({
    extract: { key: "k" },
    rewrite: [
      ["[(](?P<user>a)\\((b)", "${user}-$2-$1"],
      ["(?:x)(?i:y)(z)[[:alpha:](]", "$1$0"],
      ["((a)(b))", "${3}_$$4x"],
      ["a", "$${1}$$1_x$$name"],
      ["a", "$&$<n>$"],
    ].map(([source, target]) => ({ regexp: { source, target } })),
  }),
  "find by path": from({ find: { path: "prod/" } }),
  "find by name": from({ find: { name: { regexp: "^prod/(a|b)$" } } }),
  "find by tags": from({ find: { tags: { team: "shop" } } }),
  "all of a target": target({
    name: "orders.db",
    type: "kubernetes.io/basic-auth",
    creationPolicy: "Orphan",
    deletionPolicy: "Merge",
    immutable: true,
    template: {
      metadata: {
        labels: { team: "shop", "example.com/tier": "1" },
        annotations: { note: "any text: even this" },
      },
    },
  }),
  "Merge into a Secret": target({ creationPolicy: "Merge" }),
  "Owner with Delete": target({ deletionPolicy: "Delete" }),
  "listed restarts": restart({
    policy: "Listed",
    targets: [
      { kind: "StatefulSet", name: "db" },
      { kind: "DaemonSet", name: "agent" },
    ],
  }),
  "no restarts": restart({ policy: "None" }),
  "never refreshed": sync({ refreshInterval: "0s" }),
  "a long interval": sync({ refreshInterval: "24h30m" }),
  suspended: sync({ suspend: true }),
  "256 entries": sync({
    data: Array.from({ length: 256 }, (_, index) => ({ secretKey: `k${index}`, remoteRef: { key: "k" } })),
  }),
  "the longest key": sync({ data: [entry({ secretKey: "k".repeat(253) })] }),
};

export const validProviders: readonly { kind: InvalidCase["kind"]; title: string; spec: Spec }[] = [
  { kind: "SecretProvider", title: "ambient identity", spec: aws() },
  { kind: "SecretProvider", title: "static keys", spec: aws({ auth: { secretRef: { name: "keys" } } }) },
  {
    kind: "SecretProvider",
    title: "limits",
    spec: { ...aws(), limits: { requestsPerSecond: 1, maxConcurrent: 256 } },
  },
  { kind: "ClusterSecretProvider", title: "all namespaces", spec: cluster() },
  {
    kind: "ClusterSecretProvider",
    title: "names",
    spec: access({ namespaces: { names: ["a", "b"] }, keys: ["prod/{{namespace}}/**"] }),
  },
  {
    kind: "ClusterSecretProvider",
    title: "labels",
    spec: access({ namespaces: { selector: { matchLabels: { team: "a" } } }, keys: ["*"] }),
  },
  {
    kind: "ClusterSecretProvider",
    title: "conditions on labels",
    spec: access({
      namespaces: {
        selector: {
          matchLabels: { team: "a" },
          matchExpressions: [
            { key: "tier", operator: "NotIn", values: ["blocked", ""] },
            { key: "kubernetes.io/metadata.name", operator: "In", values: ["a"] },
            { key: "x", operator: "Exists" },
            { key: "y", operator: "DoesNotExist" },
          ],
        },
      },
      keys: ["*"],
    }),
  },
  {
    kind: "ClusterSecretProvider",
    title: "Secrets of a namespace",
    spec: without({ kubernetes: { namespace: "shared" } }),
  },
  {
    kind: "ClusterSecretProvider",
    title: "Secrets of a namespace as a ServiceAccount",
    spec: without({
      kubernetes: { namespace: "shared", serviceAccountRef: { namespace: "ops", name: "reader" } },
    }),
  },
  {
    kind: "SecretProvider",
    title: "Secrets of another namespace as a ServiceAccount of its own",
    spec: { kubernetes: { namespace: "shared", serviceAccountRef: { name: "reader" } } },
  },
  {
    kind: "ClusterSecretProvider",
    title: "ConfigMaps of another cluster",
    spec: without({
      kubernetes: {
        namespace: "shared",
        kind: "ConfigMap",
        kubeconfig: { secretRef: { namespace: "ops", name: "other", key: "config" } },
      },
    }),
  },
  { kind: "ClusterSecretProvider", title: "files", spec: without({ file: { path: "/mnt/a..b/..c" } }) },
  { kind: "ClusterSecretSync", title: "all namespaces", spec: fanOut() },
  {
    kind: "ClusterSecretSync",
    title: "a template with metadata",
    spec: fanOut(
      { namespaces: { selector: { matchLabels: { team: "a" } } }, deletionPolicy: "Retain" },
      { metadata: { name: "pull", labels: { team: "a" }, annotations: { a: "b" } } },
    ),
  },
  {
    kind: "ClusterSecretProvider",
    title: "endpoint and keys",
    spec: {
      ...cluster(),
      aws: {
        regions: ["us-gov-west-1"],
        endpoint: "https://vpce.example.com:8443",
        auth: {
          secretRef: {
            name: "keys",
            namespace: "ops",
            accessKeyIDKey: "id",
            secretAccessKeyKey: "key",
            sessionTokenKey: "token",
          },
        },
      },
    },
  },
];

const bad = (title: string, spec: unknown, message: string, ours?: string): InvalidCase => ({
  title,
  kind: "SecretSync",
  spec,
  message,
  ...(ours ? { ours } : {}),
});
const badProvider = (title: string, spec: unknown, message: string, ours?: string): InvalidCase => ({
  title,
  kind: "SecretProvider",
  spec,
  message,
  ...(ours ? { ours } : {}),
});
const badCluster = (title: string, spec: unknown, message: string, ours?: string): InvalidCase => ({
  title,
  kind: "ClusterSecretProvider",
  spec,
  message,
  ...(ours ? { ours } : {}),
});

const badFanOut = (title: string, spec: unknown, message: string, ours?: string): InvalidCase => ({
  title,
  kind: "ClusterSecretSync",
  spec,
  message,
  ...(ours ? { ours } : {}),
});

const twoVersions = "set version or versionStage, not both";
const oneOfExtractFind = "set exactly one of extract and find";
const emptyFind = "set at least one of path, name and tags; an empty find would read everything";
const duration = "must be a duration such as 30s, 15m or 1h30m";
const regexp = "must be a valid RE2 regular expression";
const refusedType =
  "this Secret type is refused, because whoever writes it gains the rights that it stands for";
const qualified = "each name must be a qualified name such as team or example.com/team";
const own = "names that start with secretsync.dev/ are the operator's own";
const token = "kubernetes.io/service-account.* names would mint a ServiceAccount token";
const listed = "policy Listed needs targets, and targets need policy Listed";
const oneNamespaces = "set exactly one of all, names and selector";
const name =
  "a name consists of lower-case letters, digits, '-' and '.', and starts and ends with a letter or digit";
const secretKey = "a Secret key consists of letters, digits, '-', '_' and '.'";
const labelValue = "a label's value consists of letters, digits, '-', '_' and '.'";

export const invalidManifests: readonly InvalidCase[] = [
  bad("nothing at all", {}, "set data or dataFrom, or there is nothing to sync"),
  bad(
    "empty data",
    { providerRef: { name: "aws" }, data: [] },
    "set data or dataFrom, or there is nothing to sync",
  ),
  bad(
    "empty dataFrom",
    { providerRef: { name: "aws" }, dataFrom: [] },
    "set data or dataFrom, or there is nothing to sync",
  ),
  bad("no provider", { data: [entry()] }, "set spec.providerRef, or providerRef in each entry"),
  bad(
    "a provider for one entry only",
    { data: [entry({ providerRef: { name: "a" } }), entry({ secretKey: "b" })] },
    "set spec.providerRef, or providerRef in each entry",
  ),
  bad(
    "no provider in dataFrom",
    { dataFrom: [{ extract: { key: "k" } }] },
    "set spec.providerRef, or providerRef in each entry",
  ),
  bad(
    "a provider without a name",
    sync({ providerRef: {} }),
    "spec.providerRef.name: Required value",
    "spec.providerRef.name: Invalid input: expected string, received undefined",
  ),
  bad(
    "a provider with an empty name",
    sync({ providerRef: { name: "" } }),
    "spec.providerRef.name in body should be at least 1 chars long",
    "spec.providerRef.name: Too small: expected string to have >=1 characters",
  ),
  bad("a provider with a name in capitals", sync({ providerRef: { name: "AWS" } }), name),
  bad(
    "a provider of an unknown kind",
    sync({ providerRef: { kind: "SecretStore", name: "aws" } }),
    'spec.providerRef.kind: Unsupported value: "SecretStore"',
    'spec.providerRef.kind: Invalid option: expected one of "SecretProvider"|"ClusterSecretProvider"',
  ),
  bad(
    "data that is no list",
    sync({ data: {} }),
    "spec.data: Invalid value",
    "spec.data: Invalid input: expected array, received object",
  ),
  bad(
    "an entry without a key",
    sync({ data: [{ remoteRef: { key: "k" } }] }),
    "spec.data[0].secretKey: Required value",
    "spec.data[0].secretKey: Invalid input: expected string, received undefined",
  ),
  bad(
    "an entry without a remoteRef",
    sync({ data: [{ secretKey: "a" }] }),
    "spec.data[0].remoteRef: Required value",
    "spec.data[0].remoteRef: Invalid input: expected object, received undefined",
  ),
  bad(
    "a remoteRef without a key",
    sync({ data: [{ secretKey: "a", remoteRef: {} }] }),
    "spec.data[0].remoteRef.key: Required value",
    "spec.data[0].remoteRef.key: Invalid input: expected string, received undefined",
  ),
  bad(
    "an empty remote key",
    sync({ data: [entry({}, { key: "" })] }),
    "spec.data[0].remoteRef.key in body should be at least 1 chars long",
    "spec.data[0].remoteRef.key: Too small: expected string to have >=1 characters",
  ),
  bad(
    "a remote key that is too long",
    sync({ data: [entry({}, { key: "k".repeat(2049) })] }),
    "spec.data[0].remoteRef.key: Too long",
    "spec.data[0].remoteRef.key: Too big: expected string to have <=2048 characters",
  ),
  bad(
    "a remote key that is a number",
    sync({ data: [entry({}, { key: 5 })] }),
    "spec.data[0].remoteRef.key in body must be of type string",
    "spec.data[0].remoteRef.key: Invalid input: expected string, received number",
  ),
  bad(
    "an empty property",
    sync({ data: [entry({}, { property: "" })] }),
    "spec.data[0].remoteRef.property in body should be at least 1 chars long",
    "spec.data[0].remoteRef.property: Too small: expected string to have >=1 characters",
  ),
  bad("a Secret key with a slash", sync({ data: [entry({ secretKey: "a/b" })] }), secretKey),
  bad("a Secret key with a space", sync({ data: [entry({ secretKey: "a b" })] }), secretKey),
  bad(
    "a Secret key with a letter beyond ASCII",
    sync({ data: [entry({ secretKey: "schlüssel" })] }),
    secretKey,
  ),
  bad(
    "the Secret key .",
    sync({ data: [entry({ secretKey: "." })] }),
    "a Secret key can't be '.' or start with '..'",
  ),
  bad(
    "the Secret key ..",
    sync({ data: [entry({ secretKey: ".." })] }),
    "a Secret key can't be '.' or start with '..'",
  ),
  bad(
    "the Secret key ..data",
    sync({ data: [entry({ secretKey: "..data" })] }),
    "a Secret key can't be '.' or start with '..'",
  ),
  bad(
    "an empty Secret key",
    sync({ data: [entry({ secretKey: "" })] }),
    "spec.data[0].secretKey in body should be at least 1 chars long",
    "spec.data[0].secretKey: Too small: expected string to have >=1 characters",
  ),
  bad(
    "a Secret key that is too long",
    sync({ data: [entry({ secretKey: "k".repeat(254) })] }),
    "spec.data[0].secretKey: Too long",
    "spec.data[0].secretKey: Too big: expected string to have <=253 characters",
  ),
  bad("the same Secret key twice", sync({ data: [entry(), entry()] }), "Duplicate value"),
  bad(
    "more than 256 entries",
    sync({
      data: Array.from({ length: 257 }, (_, index) => ({ secretKey: `k${index}`, remoteRef: { key: "k" } })),
    }),
    "spec.data: Too many",
    "spec.data: Too big: expected array to have <=256 items",
  ),
  bad(
    "version and stage in data",
    sync({ data: [entry({}, { version: "v", versionStage: "s" })] }),
    twoVersions,
  ),
  bad(
    "version and stage in extract",
    from({ extract: { key: "k", version: "v", versionStage: "s" } }),
    twoVersions,
  ),
  bad(
    "an unknown decoding",
    sync({ data: [entry({}, { decodingStrategy: "Rot13" })] }),
    'Unsupported value: "Rot13"',
    'spec.data[0].remoteRef.decodingStrategy: Invalid option: expected one of "None"|"Base64"|"Base64URL"|"Auto"',
  ),
  bad(
    "optional and default",
    sync({ data: [entry({ optional: true, default: "x" })] }),
    "set optional or default, not both",
  ),
  bad(
    "optional that is a text",
    sync({ data: [entry({ optional: "yes" })] }),
    "spec.data[0].optional in body must be of type boolean",
    "spec.data[0].optional: Invalid input: expected boolean, received string",
  ),
  bad(
    "a default that is a number",
    sync({ data: [entry({ default: 5 })] }),
    "spec.data[0].default in body must be of type string",
    "spec.data[0].default: Invalid input: expected string, received number",
  ),
  bad("neither extract nor find", from({}), oneOfExtractFind),
  bad("extract and find", from({ extract: { key: "k" }, find: { path: "p" } }), oneOfExtractFind),
  bad(
    "extract without a key",
    from({ extract: {} }),
    "spec.dataFrom[0].extract.key: Required value",
    "spec.dataFrom[0].extract.key: Invalid input: expected string, received undefined",
  ),
  bad("an empty find", from({ find: {} }), emptyFind),
  bad("a find with empty tags", from({ find: { tags: {} } }), emptyFind),
  bad(
    "a find with an empty path",
    from({ find: { path: "" } }),
    "spec.dataFrom[0].find.path in body should be at least 1 chars long",
    "spec.dataFrom[0].find.path: Too small: expected string to have >=1 characters",
  ),
  bad("a find with a broken pattern", from({ find: { name: { regexp: "(" } } }), regexp),
  bad(
    "a find with a lookahead, which RE2 doesn't have",
    from({ find: { name: { regexp: "(?=a)" } } }),
    regexp,
  ),
  bad("a find with a back reference", from({ find: { name: { regexp: "(a)\\1" } } }), regexp),
  bad(
    "a find with too many tags",
    from({
      find: { tags: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`t${index}`, "v"])) },
    }),
    "spec.dataFrom[0].find.tags: Too many: 17: must have at most 16 items",
    "spec.dataFrom[0].find.tags: must have at most 16 members",
  ),
  bad(
    "a rewrite with a broken pattern",
    from({ extract: { key: "k" }, rewrite: [{ regexp: { source: "[", target: "" } }] }),
    regexp,
  ),
  ...[
    ["(.*)", "$1_PROD"],
    ["(.*)", "${name}"],
    ["(a)", "$name"],
    ["(a)", "$$$1x"],
    ["a", "x$1"],
  ].map(([source, target]) =>
    bad(
      `a rewrite of ${source} by ${target}`,
      from({ extract: { key: "k" }, rewrite: [{ regexp: { source, target } }] }),
      "names a group that the pattern doesn't have",
    ),
  ),
  bad(
    "a rewrite without a target",
    from({ extract: { key: "k" }, rewrite: [{ regexp: { source: "a" } }] }),
    "target: Required value",
    "spec.dataFrom[0].rewrite[0].regexp.target: Invalid input: expected string, received undefined",
  ),
  bad(
    "an empty rewrite step",
    from({ extract: { key: "k" }, rewrite: [{}] }),
    "regexp: Required value",
    "spec.dataFrom[0].rewrite[0].regexp: Invalid input: expected object, received undefined",
  ),
  bad(
    "too many rewrites",
    from({
      extract: { key: "k" },
      rewrite: Array.from({ length: 17 }, () => ({ regexp: { source: "a", target: "b" } })),
    }),
    "rewrite: Too many",
    "spec.dataFrom[0].rewrite: Too big: expected array to have <=16 items",
  ),
  bad("an interval without a unit", sync({ refreshInterval: "60" }), duration),
  bad("a negative interval", sync({ refreshInterval: "-5m" }), duration),
  bad("an interval in days", sync({ refreshInterval: "1d" }), duration),
  ...["1ns", "999ms"].map((interval) =>
    bad(`an interval of ${interval}`, sync({ refreshInterval: interval }), "must be 0s, or a second or more"),
  ),
  bad("an empty interval", sync({ refreshInterval: "" }), duration),
  bad(
    "an interval that is a number",
    sync({ refreshInterval: 60 }),
    "spec.refreshInterval in body must be of type string",
    "spec.refreshInterval: Invalid input: expected string, received number",
  ),
  bad(
    "suspend that is a text",
    sync({ suspend: "true" }),
    "spec.suspend in body must be of type boolean",
    "spec.suspend: Invalid input: expected boolean, received string",
  ),
  bad("a target name in capitals", target({ name: "Orders" }), name),
  bad("a target name with a slash", target({ name: "other/secret" }), name),
  bad(
    "a target of type service-account-token",
    target({ type: "kubernetes.io/service-account-token" }),
    refusedType,
  ),
  bad("a target of type bootstrap token", target({ type: "bootstrap.kubernetes.io/token" }), refusedType),
  bad("a target of type Helm release", target({ type: "helm.sh/release.v1" }), refusedType),
  bad(
    "an empty type",
    target({ type: "" }),
    "spec.target.type in body should be at least 1 chars long",
    "spec.target.type: Too small: expected string to have >=1 characters",
  ),
  bad(
    "an unknown creationPolicy",
    target({ creationPolicy: "Adopt" }),
    'Unsupported value: "Adopt"',
    'spec.target.creationPolicy: Invalid option: expected one of "Owner"|"Merge"|"Orphan"',
  ),
  bad(
    "an unknown deletionPolicy",
    target({ deletionPolicy: "Drop" }),
    'Unsupported value: "Drop"',
    'spec.target.deletionPolicy: Invalid option: expected one of "Retain"|"Delete"|"Merge"',
  ),
  bad(
    "Delete with Orphan",
    target({ creationPolicy: "Orphan", deletionPolicy: "Delete" }),
    "deletionPolicy Delete needs creationPolicy Owner",
  ),
  bad(
    "Delete with Merge",
    target({ creationPolicy: "Merge", deletionPolicy: "Delete" }),
    "deletionPolicy Delete needs creationPolicy Owner",
  ),
  bad(
    "Merge with a type",
    target({ creationPolicy: "Merge", type: "Opaque" }),
    "creationPolicy Merge leaves type and immutable to the Secret that exists",
  ),
  bad(
    "Merge with immutable",
    target({ creationPolicy: "Merge", immutable: true }),
    "creationPolicy Merge leaves type and immutable to the Secret that exists",
  ),
  bad("a label that isn't a name", metadata({ labels: { "a b": "x" } }), qualified),
  bad("a label with a bad value", metadata({ labels: { a: "no spaces" } }), labelValue),
  bad(
    "a label with a long value",
    metadata({ labels: { a: "x".repeat(64) } }),
    "Too long",
    "spec.target.template.metadata.labels.a: Too big: expected string to have <=63 characters",
  ),
  bad("a label of the operator", metadata({ labels: { "secretsync.dev/managed": "false" } }), own),
  bad("an annotation of the operator", metadata({ annotations: { "secretsync.dev/owner": "other" } }), own),
  bad(
    "an annotation that mints a token",
    metadata({ annotations: { "kubernetes.io/service-account.name": "admin" } }),
    token,
  ),
  bad(
    "an annotation by uid that mints a token",
    metadata({ annotations: { "kubernetes.io/service-account.uid": "1" } }),
    token,
  ),
  bad("an annotation that isn't a name", metadata({ annotations: { "/": "x" } }), qualified),
  bad("Listed without targets", restart({ policy: "Listed" }), listed),
  bad("Listed with empty targets", restart({ policy: "Listed", targets: [] }), listed),
  bad("Auto with targets", restart({ policy: "Auto", targets: [{ kind: "Deployment", name: "a" }] }), listed),
  bad("None with targets", restart({ policy: "None", targets: [{ kind: "Deployment", name: "a" }] }), listed),
  bad(
    "an unknown restart policy",
    restart({ policy: "Always" }),
    'Unsupported value: "Always"',
    'spec.restart.policy: Invalid option: expected one of "Auto"|"Listed"|"None"',
  ),
  bad(
    "a restart of an unknown kind",
    restart({ policy: "Listed", targets: [{ kind: "CronJob", name: "a" }] }),
    'Unsupported value: "CronJob"',
    'spec.restart.targets[0].kind: Invalid option: expected one of "Deployment"|"StatefulSet"|"DaemonSet"',
  ),
  bad(
    "a restart without a name",
    restart({ policy: "Listed", targets: [{ kind: "Deployment" }] }),
    "spec.restart.targets[0].name: Required value",
    "spec.restart.targets[0].name: Invalid input: expected string, received undefined",
  ),
  badProvider("no provider at all", {}, "set exactly one provider: aws"),
  badProvider(
    "no region",
    { aws: {} },
    "spec.aws.regions: Required value",
    "spec.aws.regions: Invalid input: expected array, received undefined",
  ),
  badProvider(
    "an empty list of regions",
    { aws: { regions: [] } },
    "spec.aws.regions in body should have at least 1 items",
    "spec.aws.regions: Too small: expected array to have >=1 items",
  ),
  badProvider(
    "a region that is none",
    { aws: { regions: ["Europe"] } },
    "must be an AWS region such as eu-west-1",
  ),
  badProvider(
    "an unknown service",
    aws({ service: "S3" }),
    'Unsupported value: "S3"',
    'spec.aws.service: Invalid input: expected "SecretsManager"',
  ),
  badProvider(
    "keys without a Secret's name",
    aws({ auth: { secretRef: {} } }),
    "spec.aws.auth.secretRef.name: Required value",
    "spec.aws.auth.secretRef.name: Invalid input: expected string, received undefined",
  ),
  badProvider(
    "no requests at all",
    { ...aws(), limits: { requestsPerSecond: 0 } },
    "spec.limits.requestsPerSecond in body should be greater than or equal to 1",
    "spec.limits.requestsPerSecond: Too small: expected number to be >=1",
  ),
  badProvider(
    "half a request",
    { ...aws(), limits: { requestsPerSecond: 0.5 } },
    "spec.limits.requestsPerSecond in body must be of type int32",
    "spec.limits.requestsPerSecond: Invalid input: expected int, received number",
  ),
  badProvider(
    "too many at once",
    { ...aws(), limits: { maxConcurrent: 257 } },
    "spec.limits.maxConcurrent in body should be less than or equal to 256",
    "spec.limits.maxConcurrent: Too big: expected number to be <=256",
  ),
  badCluster(
    "no access",
    aws(),
    "spec.access: Required value",
    "spec.access: Invalid input: expected array, received undefined",
  ),
  badCluster(
    "empty access",
    cluster({ access: [] }),
    "spec.access in body should have at least 1 items",
    "spec.access: Too small: expected array to have >=1 items",
  ),
  badCluster(
    "a rule without keys",
    access({ namespaces: { all: true } }),
    "spec.access[0].keys: Required value",
    "spec.access[0].keys: Invalid input: expected array, received undefined",
  ),
  badCluster(
    "a rule with empty keys",
    access({ namespaces: { all: true }, keys: [] }),
    "spec.access[0].keys in body should have at least 1 items",
    "spec.access[0].keys: Too small: expected array to have >=1 items",
  ),
  badCluster(
    "a rule without namespaces",
    access({ keys: ["*"] }),
    "spec.access[0].namespaces: Required value",
    "spec.access[0].namespaces: Invalid input: expected object, received undefined",
  ),
  badCluster("a rule for no namespaces", access({ namespaces: {}, keys: ["*"] }), oneNamespaces),
  badCluster(
    "a rule for all and for names",
    access({ namespaces: { all: true, names: ["a"] }, keys: ["*"] }),
    oneNamespaces,
  ),
  badCluster(
    "a rule for all: false",
    access({ namespaces: { all: false }, keys: ["*"] }),
    "spec.access[0].namespaces.all: Unsupported value: false",
    "spec.access[0].namespaces.all: Invalid input: expected true",
  ),
  badCluster(
    "a selector without anything",
    access({ namespaces: { selector: {} }, keys: ["*"] }),
    "set matchLabels, matchExpressions or both",
  ),
  badCluster(
    "NotIn without values",
    access({
      namespaces: { selector: { matchExpressions: [{ key: "tier", operator: "NotIn" }] } },
      keys: ["*"],
    }),
    "In and NotIn need values; Exists and DoesNotExist have none",
  ),
  badCluster(
    "Exists with values",
    access({
      namespaces: { selector: { matchExpressions: [{ key: "tier", operator: "Exists", values: ["a"] }] } },
      keys: ["*"],
    }),
    "In and NotIn need values; Exists and DoesNotExist have none",
  ),
  badCluster(
    "a selector without labels",
    access({ namespaces: { selector: { matchLabels: {} } }, keys: ["*"] }),
    "spec.access[0].namespaces.selector.matchLabels in body should have at least 1 properties",
    "spec.access[0].namespaces.selector.matchLabels: must have at least 1 members",
  ),
  badCluster(
    "keys without the Secret's namespace",
    cluster({ aws: { regions: ["eu-west-1"], auth: { secretRef: { name: "keys" } } } }),
    "spec.aws.auth.secretRef.namespace: Required value",
    "spec.aws.auth.secretRef.namespace: Invalid input: expected string, received undefined",
  ),
  badCluster(
    "an endpoint that is no URL",
    cluster({ aws: { regions: ["eu-west-1"], endpoint: "somewhere" } }),
    "must be a URL such as https://",
  ),
  badCluster(
    "an endpoint that is a file",
    cluster({ aws: { regions: ["eu-west-1"], endpoint: "file:///etc/passwd" } }),
    "must be a URL such as https://",
  ),
  badProvider(
    "a member that only the admin's kind has",
    { file: { path: "/mnt" } },
    "set exactly one provider: aws or kubernetes (file can only be set in a ClusterSecretProvider)",
  ),
  badProvider(
    "another namespace as the operator",
    { kubernetes: { namespace: "shared" } },
    "spec.kubernetes.serviceAccountRef: Required value",
    "spec.kubernetes.serviceAccountRef: Invalid input: expected object, received undefined",
  ),
  badCluster(
    "two ways to sign in to Kubernetes",
    without({
      kubernetes: {
        namespace: "a",
        serviceAccountRef: { namespace: "a", name: "b" },
        kubeconfig: { secretRef: { namespace: "a", name: "x" } },
      },
    }),
    "set kubeconfig or serviceAccountRef, not both",
  ),
  badCluster("no provider at all", without({}), "set exactly one provider: aws, kubernetes or file"),
  badCluster(
    "two providers",
    cluster({ file: { path: "/mnt" } }),
    "set exactly one provider: aws, kubernetes or file",
  ),
  badCluster("a namespace that is none", without({ kubernetes: { namespace: "A" } }), name),
  badCluster(
    "a kind that holds no secrets",
    without({ kubernetes: { namespace: "a", kind: "Pod" } }),
    'spec.kubernetes.kind: Unsupported value: "Pod"',
    'spec.kubernetes.kind: Invalid option: expected one of "Secret"|"ConfigMap"',
  ),
  badCluster(
    "a kubeconfig of no namespace",
    without({ kubernetes: { namespace: "a", kubeconfig: { secretRef: { name: "x" } } } }),
    "spec.kubernetes.kubeconfig.secretRef.namespace: Required value",
    "spec.kubernetes.kubeconfig.secretRef.namespace: Invalid input: expected string, received undefined",
  ),
  ...["mnt", "/mnt/../etc", "/mnt/./a", "/.."].map((path) =>
    badCluster(`the path ${path}`, without({ file: { path } }), "must be an absolute path without . and .."),
  ),
  badFanOut("no namespaces", fanOut({ namespaces: {} }), oneNamespaces),
  badFanOut(
    "no template",
    { namespaces: { all: true } },
    "spec.template: Required value",
    "spec.template: Invalid input: expected object, received undefined",
  ),
  badFanOut(
    "a template that is no SecretSync",
    fanOut({}, { spec: { providerRef: { name: "aws" } } }),
    "set data or dataFrom, or there is nothing to sync",
  ),
  badFanOut(
    "another word for what happens to the rest",
    fanOut({ deletionPolicy: "Merge" }),
    'spec.deletionPolicy: Unsupported value: "Merge"',
    'spec.deletionPolicy: Invalid option: expected one of "Delete"|"Retain"',
  ),
  badFanOut(
    "labels of the operator's own",
    fanOut({}, { metadata: { labels: { "secretsync.dev/x": "y" } }, spec: sync() }),
    own,
  ),
];
