import type { Script } from 'node:vm'

/** What the CommonJS module in a file of ASCII exports, and the script that it is. */
export function loadCompiled(file: string): { readonly exports: unknown; readonly script: Script }

/** Keeps the bytecode of all functions of the script that have run by now beside its file. */
export function keepBytecode(file: string, script: Script): void
