// The reference of all commands as Markdown, from what they say of themselves.

const INTRODUCTION = `# Commands

What \`mxhs COMMAND --help\` says, for all commands: made from them by \`npm run docs\`.

Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 called in a wrong way; what else there is stands with its command. With \`--json\` the result is JSON, as the schema that stands with the command describes it, and so is an error: [error.json](schemas/error.json). Without \`-c\`, the configuration is \`homeserver.yaml\` in the current directory.

Completion for bash, zsh and PowerShell: \`mxhs autocomplete\`.
`

/** `commands`: as in oclif's manifest; `topics`: of package.json, by name. */
export function renderCommandsReference(commands, topics) {
  const shown = commands.filter(({ hidden }) => !hidden).toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const alone = shown.filter(({ id }) => !id.includes(':') && !(id in topics))
  const sections = Object.keys(topics)
    .toSorted()
    .map((topic) => {
      const members = shown.filter(({ id }) => id === topic || id.startsWith(`${topic}:`))
      return `## mxhs ${topic}\n\n${topics[topic].description}\n\n${members.map(renderCommand).join('\n')}`
    })
  return [INTRODUCTION, `## Alone\n\n${alone.map(renderCommand).join('\n')}`, ...sections].join('\n')
}

function renderCommand(command) {
  const name = command.id.replaceAll(':', ' ')
  const text = (template) =>
    template.replaceAll('<%= config.bin %>', 'mxhs').replaceAll('<%= command.id %>', name)
  const parts = [`### mxhs ${name}`, escaped(command.summary ?? '')]
  if (command.description) parts.push(escaped(text(command.description)))
  parts.push(fenced(usageOf(name, command)))
  const args = Object.values(command.args ?? {}).filter(({ hidden }) => !hidden)
  if (args.length > 0)
    parts.push(
      table(
        'argument',
        args.map(({ name: arg, description }) => [arg.toUpperCase(), description]),
      ),
    )
  const flags = Object.values(command.flags ?? {}).filter(
    ({ hidden, name: flag }) => !hidden && flag !== 'json',
  )
  if (flags.length > 0) parts.push(table('flag', flags.map(rowOfFlag)))
  const examples = (command.examples ?? []).map((example) =>
    text(typeof example === 'string' ? example : example.command),
  )
  if (examples.length > 0) parts.push(fenced(examples.join('\n')))
  if (command.flags?.json) {
    const schema = `${command.id.replaceAll(':', '-')}.json`
    parts.push(`With \`--json\`: [${schema}](schemas/${schema})`)
  }
  return `${parts.join('\n\n')}\n`
}

function usageOf(name, { args = {}, strict }) {
  const words = Object.values(args)
    .filter(({ hidden }) => !hidden)
    .map(({ name: arg, required }) => (required ? arg.toUpperCase() : `[${arg.toUpperCase()}]`))
  return ['mxhs', name, ...words, ...(strict === false ? ['...'] : []), '[flags]'].join(' ')
}

function rowOfFlag({
  char,
  name,
  type,
  helpValue,
  description,
  summary,
  default: fallback,
  options,
  required,
  allowNo,
}) {
  const value = type === 'option' ? `=${helpValue ?? (options ? options.join('|') : 'VALUE')}` : ''
  const long = allowNo ? `--[no-]${name}` : `--${name}`
  const remarks = [required ? 'required' : '', isPlain(fallback) ? `default: ${fallback}` : ''].filter(
    Boolean,
  )
  const note = remarks.length > 0 ? ` (${remarks.join(', ')})` : ''
  return [`${char ? `-${char}, ` : ''}${long}${value}`, `${description ?? summary ?? ''}${note}`]
}

/** Worth showing: neither computed nor the absence of something. */
function isPlain(fallback) {
  return (typeof fallback === 'string' && fallback !== '') || typeof fallback === 'number'
}

function table(what, rows) {
  const lines = rows.map(
    ([name, description]) => `| \`${name.replaceAll('|', '\\|')}\` | ${cell(description ?? '')} |`,
  )
  return [`| ${what} | |`, '| --- | --- |', ...lines].join('\n')
}

function cell(text) {
  return escaped(text).replaceAll('|', '\\|').replaceAll('\n', ' ')
}

/** What Markdown would take for HTML or emphasis. */
function escaped(text) {
  return text.replaceAll('<', '&lt;').replaceAll('*', '\\*').replaceAll('_', '\\_')
}

function fenced(text) {
  return `\`\`\`sh\n${text}\n\`\`\``
}
