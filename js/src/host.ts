// What this code runs on, and the modules that only Node has.

export function isNode(): boolean {
  return typeof process === 'object' && typeof process.versions?.node === 'string';
}

/** A module of Node. Its name comes in a variable: bundlers for browsers leave it alone, and browsers never come here. */
export async function builtin<Module>(name: string): Promise<Module> {
  return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as Module;
}
