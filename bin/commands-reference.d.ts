import type { Command } from '@oclif/core'

/** The reference of all commands as Markdown. `topics`: of package.json, by name. */
export function renderCommandsReference(
  commands: readonly Command.Loadable[],
  topics: Readonly<Record<string, { readonly description: string }>>,
): string
