/** Installs the CRDs by a kubectl, and waits until the apiserver serves them. */
export async function installCrds(kubectl: (...args: string[]) => Promise<unknown>): Promise<void> {
  await kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds/");
  await kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", "crds/");
}
