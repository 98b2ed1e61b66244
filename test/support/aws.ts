import {
  CreateSecretCommand,
  DeleteSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
  type Tag,
} from "@aws-sdk/client-secrets-manager";

/** What a user of AWS does in tests: creates, rotates and deletes secrets. */
export const TEST_REGION = "eu-west-1";
export const TEST_CREDENTIALS = { accessKeyId: "test", secretAccessKey: "test" } as const;

/** The environment that points the operator at an emulator. */
export const awsEnvironment = (endpoint: string): Record<string, string> => ({
  AWS_ENDPOINT_URL_SECRETS_MANAGER: endpoint,
  AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
  AWS_REGION: TEST_REGION,
});

export function awsUser(endpoint: string) {
  const client = new SecretsManagerClient({ region: TEST_REGION, endpoint, credentials: TEST_CREDENTIALS });
  return {
    create: (name: string, value: string | Uint8Array, tags: Readonly<Record<string, string>> = {}) =>
      client.send(
        new CreateSecretCommand({
          Name: name,
          ...(typeof value === "string" ? { SecretString: value } : { SecretBinary: value }),
          Tags: Object.entries(tags).map(([Key, Value]): Tag => ({ Key, Value })),
        }),
      ),
    rotate: (name: string, value: string) =>
      client.send(new PutSecretValueCommand({ SecretId: name, SecretString: value })),
    remove: (name: string) =>
      client.send(new DeleteSecretCommand({ SecretId: name, ForceDeleteWithoutRecovery: true })),
    schedule: (name: string) =>
      client.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 })),
  };
}
