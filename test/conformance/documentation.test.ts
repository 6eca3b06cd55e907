import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from '@oclif/core'
import { expect } from 'chai'
import { packageRoot } from '../../src/util/package-root.js'
import { loadCommands } from '../support/command-list.js'

const LINK = /\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)/g
/** A call of the command, up to where the shell goes on; not the user or the container of that name. */
const CALL =
  /(?<!-u |exec |\/)\bmxhs ([a-z][a-z-]*(?: [a-z][a-z-]*)?)((?: +(?:--?[\w-]+|[^\s`|;#()<>]+|\\\n *))*)/g
/** Those of the framework. */
const BUILT_IN = new Set(['autocomplete', 'help'])

function read(file: string): string {
  return readFileSync(join(packageRoot(), file), 'utf8')
}

/** What is set as code: for shells, or within the text. */
function codeOf(markdown: string): string[] {
  const fence = /^```(\w*)\n([\s\S]*?)^```$/gm
  const fenced = [...markdown.matchAll(fence)].filter(([, language = '']) => ['', 'sh'].includes(language))
  const inline = [...markdown.replaceAll(fence, '').matchAll(/`([^`\n]+)`/g)]
  return [...fenced.map(([, , code = '']) => code), ...inline.map(([, code = '']) => code)]
}

function anchorsOf(markdown: string): Set<string> {
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading ?? '')
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  )
}

describe('the documentation', () => {
  const guides = readdirSync(join(packageRoot(), 'docs')).filter((name) => name.endsWith('.md'))
  const files = ['README.md', ...guides.map((name) => `docs/${name}`)]
  let commands: ReadonlyMap<string, Command.Loadable>

  before(async function () {
    this.timeout(60_000)
    commands = new Map((await loadCommands()).map((command) => [command.id.replaceAll(':', ' '), command]))
  })

  for (const file of files) {
    it(`${file} leads to what is there`, () => {
      const lost = [...read(file).matchAll(LINK)]
        .filter(([, path = '', anchor]) => {
          const target = path === '' ? file : join(dirname(file), path)
          if (!existsSync(join(packageRoot(), target))) return true
          return anchor !== undefined && !anchorsOf(read(target)).has(anchor.slice(1))
        })
        .map(([link]) => link)
      expect(lost).to.deep.equal([])
    })

    it(`${file} calls commands that there are, with flags that they have`, () => {
      const unknown = codeOf(read(file)).flatMap((code) => [...code.matchAll(CALL)].flatMap(problemsOf))
      expect(unknown).to.deep.equal([])
    })
  }

  function problemsOf([call, words = '', rest = '']: RegExpMatchArray): string[] {
    const [first = ''] = words.split(' ')
    if (BUILT_IN.has(first)) return []
    const command = commands.get(words) ?? commands.get(first)
    const isTopic = [...commands.keys()].some(
      (name) => name.startsWith(`${words} `) || name.startsWith(`${first} `),
    )
    if (command === undefined) return words === first && isTopic ? [] : [call]
    const known = Object.values(command.flags).flatMap((flag) => {
      const allowsNo = flag.type === 'boolean' && flag.allowNo
      return [
        `--${flag.name}`,
        ...(flag.char ? [`-${flag.char}`] : []),
        ...(allowsNo ? [`--no-${flag.name}`] : []),
      ]
    })
    const used = [...`${call} ${rest}`.matchAll(/(?<=\s)--?[a-zA-Z][\w-]*/g)].map(([flag]) => flag)
    return used.filter((flag) => !known.includes(flag) && flag !== '--help').map((flag) => `${words} ${flag}`)
  }
})
