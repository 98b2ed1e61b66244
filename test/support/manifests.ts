/** Manifests that must be taken, and manifests that must be refused with these words: by the apiserver and by our parser. */

type Spec = Record<string, unknown>;
export interface InvalidCase {
  readonly title: string;
  readonly kind: "SecretSync" | "SecretProvider" | "ClusterSecretProvider";
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

const twoVersions = "set version or versionStage, not both";
const oneOfExtractFind = "set exactly one of extract and find";
const emptyFind = "set at least one of path, name and tags; an empty find would read everything";
const duration = "spec.refreshInterval in body should match";
const ourDuration = "spec.refreshInterval: Invalid string";
const regexp = "must be a valid RE2 regular expression";
const refusedType =
  "this Secret type is refused, because whoever writes it gains the rights that it stands for";
const qualified = "each name must be a qualified name such as team or example.com/team";
const own = "names that start with secretsync.dev/ are the operator's own";
const token = "kubernetes.io/service-account.* names would mint a ServiceAccount token";
const listed = "policy Listed needs targets, and targets need policy Listed";
const oneNamespaces = "set exactly one of all, names and selector";
const notName = "should match '^[a-z0-9]";

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
    "spec.providerRef.name",
  ),
  bad(
    "a provider with an empty name",
    sync({ providerRef: { name: "" } }),
    "spec.providerRef.name",
    "spec.providerRef.name",
  ),
  bad(
    "a provider with a name in capitals",
    sync({ providerRef: { name: "AWS" } }),
    `spec.providerRef.name in body ${notName}`,
    "spec.providerRef.name",
  ),
  bad(
    "a provider of an unknown kind",
    sync({ providerRef: { kind: "SecretStore", name: "aws" } }),
    'spec.providerRef.kind: Unsupported value: "SecretStore"',
    "spec.providerRef.kind",
  ),
  bad("data that is no list", sync({ data: {} }), "spec.data: Invalid value", "spec.data"),
  bad(
    "an entry without a key",
    sync({ data: [{ remoteRef: { key: "k" } }] }),
    "spec.data[0].secretKey: Required value",
    "spec.data[0].secretKey",
  ),
  bad(
    "an entry without a remoteRef",
    sync({ data: [{ secretKey: "a" }] }),
    "spec.data[0].remoteRef: Required value",
    "spec.data[0].remoteRef",
  ),
  bad(
    "a remoteRef without a key",
    sync({ data: [{ secretKey: "a", remoteRef: {} }] }),
    "spec.data[0].remoteRef.key: Required value",
    "spec.data[0].remoteRef.key",
  ),
  bad(
    "an empty remote key",
    sync({ data: [entry({}, { key: "" })] }),
    "spec.data[0].remoteRef.key",
    "spec.data[0].remoteRef.key",
  ),
  bad(
    "a remote key that is too long",
    sync({ data: [entry({}, { key: "k".repeat(2049) })] }),
    "spec.data[0].remoteRef.key: Too long",
    "spec.data[0].remoteRef.key",
  ),
  bad(
    "a remote key that is a number",
    sync({ data: [entry({}, { key: 5 })] }),
    "spec.data[0].remoteRef.key",
    "spec.data[0].remoteRef.key",
  ),
  bad(
    "an empty property",
    sync({ data: [entry({}, { property: "" })] }),
    "spec.data[0].remoteRef.property",
    "spec.data[0].remoteRef.property",
  ),
  bad(
    "a Secret key with a slash",
    sync({ data: [entry({ secretKey: "a/b" })] }),
    "spec.data[0].secretKey in body should match",
    "spec.data[0].secretKey",
  ),
  bad(
    "a Secret key with a space",
    sync({ data: [entry({ secretKey: "a b" })] }),
    "spec.data[0].secretKey in body should match",
    "spec.data[0].secretKey",
  ),
  bad(
    "a Secret key with a letter beyond ASCII",
    sync({ data: [entry({ secretKey: "schlüssel" })] }),
    "spec.data[0].secretKey in body should match",
    "spec.data[0].secretKey",
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
    "spec.data[0].secretKey",
    "spec.data[0].secretKey",
  ),
  bad(
    "a Secret key that is too long",
    sync({ data: [entry({ secretKey: "k".repeat(254) })] }),
    "spec.data[0].secretKey: Too long",
    "spec.data[0].secretKey",
  ),
  bad("the same Secret key twice", sync({ data: [entry(), entry()] }), "Duplicate value"),
  bad(
    "more than 256 entries",
    sync({
      data: Array.from({ length: 257 }, (_, index) => ({ secretKey: `k${index}`, remoteRef: { key: "k" } })),
    }),
    "spec.data: Too many",
    "spec.data",
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
    "spec.data[0].remoteRef.decodingStrategy",
  ),
  bad(
    "optional and default",
    sync({ data: [entry({ optional: true, default: "x" })] }),
    "set optional or default, not both",
  ),
  bad(
    "optional that is a text",
    sync({ data: [entry({ optional: "yes" })] }),
    "spec.data[0].optional",
    "spec.data[0].optional",
  ),
  bad(
    "a default that is a number",
    sync({ data: [entry({ default: 5 })] }),
    "spec.data[0].default",
    "spec.data[0].default",
  ),
  bad("neither extract nor find", from({}), oneOfExtractFind),
  bad("extract and find", from({ extract: { key: "k" }, find: { path: "p" } }), oneOfExtractFind),
  bad(
    "extract without a key",
    from({ extract: {} }),
    "spec.dataFrom[0].extract.key: Required value",
    "spec.dataFrom[0].extract.key",
  ),
  bad("an empty find", from({ find: {} }), emptyFind),
  bad("a find with empty tags", from({ find: { tags: {} } }), emptyFind),
  bad(
    "a find with an empty path",
    from({ find: { path: "" } }),
    "spec.dataFrom[0].find.path",
    "spec.dataFrom[0].find.path",
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
    "spec.dataFrom[0].find.tags",
    "spec.dataFrom[0].find.tags",
  ),
  bad(
    "a rewrite with a broken pattern",
    from({ extract: { key: "k" }, rewrite: [{ regexp: { source: "[", target: "" } }] }),
    regexp,
  ),
  bad(
    "a rewrite without a target",
    from({ extract: { key: "k" }, rewrite: [{ regexp: { source: "a" } }] }),
    "target: Required value",
    "target",
  ),
  bad(
    "an empty rewrite step",
    from({ extract: { key: "k" }, rewrite: [{}] }),
    "regexp: Required value",
    "regexp",
  ),
  bad(
    "too many rewrites",
    from({
      extract: { key: "k" },
      rewrite: Array.from({ length: 17 }, () => ({ regexp: { source: "a", target: "b" } })),
    }),
    "rewrite: Too many",
    "rewrite",
  ),
  bad("an interval without a unit", sync({ refreshInterval: "60" }), duration, ourDuration),
  bad("a negative interval", sync({ refreshInterval: "-5m" }), duration, ourDuration),
  bad("an interval in days", sync({ refreshInterval: "1d" }), duration, ourDuration),
  ...["1ns", "999ms"].map((interval) =>
    bad(
      `an interval of ${interval}`,
      sync({ refreshInterval: interval }),
      "must be 0s, or a duration of a second or more",
    ),
  ),
  bad("an empty interval", sync({ refreshInterval: "" }), duration, ourDuration),
  bad(
    "an interval that is a number",
    sync({ refreshInterval: 60 }),
    "spec.refreshInterval",
    "spec.refreshInterval",
  ),
  bad("suspend that is a text", sync({ suspend: "true" }), "spec.suspend", "spec.suspend"),
  bad(
    "a target name in capitals",
    target({ name: "Orders" }),
    `spec.target.name in body ${notName}`,
    "spec.target.name",
  ),
  bad(
    "a target name with a slash",
    target({ name: "other/secret" }),
    `spec.target.name in body ${notName}`,
    "spec.target.name",
  ),
  bad(
    "a target of type service-account-token",
    target({ type: "kubernetes.io/service-account-token" }),
    refusedType,
  ),
  bad("a target of type bootstrap token", target({ type: "bootstrap.kubernetes.io/token" }), refusedType),
  bad("a target of type Helm release", target({ type: "helm.sh/release.v1" }), refusedType),
  bad("an empty type", target({ type: "" }), "spec.target.type", "spec.target.type"),
  bad(
    "an unknown creationPolicy",
    target({ creationPolicy: "Adopt" }),
    'Unsupported value: "Adopt"',
    "spec.target.creationPolicy",
  ),
  bad(
    "an unknown deletionPolicy",
    target({ deletionPolicy: "Drop" }),
    'Unsupported value: "Drop"',
    "spec.target.deletionPolicy",
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
  bad(
    "a label with a bad value",
    metadata({ labels: { a: "no spaces" } }),
    "spec.target.template.metadata.labels.a in body should match",
    "labels.a",
  ),
  bad("a label with a long value", metadata({ labels: { a: "x".repeat(64) } }), "Too long", "labels.a"),
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
    "spec.restart.policy",
  ),
  bad(
    "a restart of an unknown kind",
    restart({ policy: "Listed", targets: [{ kind: "CronJob", name: "a" }] }),
    'Unsupported value: "CronJob"',
    "spec.restart.targets[0].kind",
  ),
  bad(
    "a restart without a name",
    restart({ policy: "Listed", targets: [{ kind: "Deployment" }] }),
    "spec.restart.targets[0].name: Required value",
    "spec.restart.targets[0].name",
  ),
  badProvider("no provider at all", {}, "set exactly one provider: aws"),
  badProvider("no region", { aws: {} }, "spec.aws.regions: Required value", "spec.aws.regions"),
  badProvider("an empty list of regions", { aws: { regions: [] } }, "spec.aws.regions", "spec.aws.regions"),
  badProvider(
    "a region that is none",
    { aws: { regions: ["Europe"] } },
    "spec.aws.regions[0] in body should match",
    "spec.aws.regions[0]",
  ),
  badProvider("an unknown service", aws({ service: "S3" }), 'Unsupported value: "S3"', "spec.aws.service"),
  badProvider(
    "keys without a Secret's name",
    aws({ auth: { secretRef: {} } }),
    "spec.aws.auth.secretRef.name: Required value",
    "spec.aws.auth.secretRef.name",
  ),
  badProvider(
    "no requests at all",
    { ...aws(), limits: { requestsPerSecond: 0 } },
    "spec.limits.requestsPerSecond",
    "spec.limits.requestsPerSecond",
  ),
  badProvider(
    "half a request",
    { ...aws(), limits: { requestsPerSecond: 0.5 } },
    "spec.limits.requestsPerSecond",
    "spec.limits.requestsPerSecond",
  ),
  badProvider(
    "too many at once",
    { ...aws(), limits: { maxConcurrent: 257 } },
    "spec.limits.maxConcurrent",
    "spec.limits.maxConcurrent",
  ),
  badCluster("no access", aws(), "spec.access: Required value", "spec.access"),
  badCluster("empty access", cluster({ access: [] }), "spec.access", "spec.access"),
  badCluster(
    "a rule without keys",
    access({ namespaces: { all: true } }),
    "spec.access[0].keys: Required value",
    "spec.access[0].keys",
  ),
  badCluster(
    "a rule with empty keys",
    access({ namespaces: { all: true }, keys: [] }),
    "spec.access[0].keys",
    "spec.access[0].keys",
  ),
  badCluster(
    "a rule without namespaces",
    access({ keys: ["*"] }),
    "spec.access[0].namespaces: Required value",
    "spec.access[0].namespaces",
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
    "spec.access[0].namespaces.all",
    "spec.access[0].namespaces.all",
  ),
  badCluster(
    "a selector without labels",
    access({ namespaces: { selector: { matchLabels: {} } }, keys: ["*"] }),
    "matchLabels",
    "matchLabels",
  ),
  badCluster(
    "keys without the Secret's namespace",
    cluster({ aws: { regions: ["eu-west-1"], auth: { secretRef: { name: "keys" } } } }),
    "spec.aws.auth.secretRef.namespace: Required value",
    "spec.aws.auth.secretRef.namespace",
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
];
