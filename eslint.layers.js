/**
 * Who may import whom: the one list from which both the lint rules and the conformance test are made. A layer may
 * import itself and what it names; everything points down.
 */

/** The folders of src/services in their order: each may import only itself and those before it. */
export const SERVICE_FOLDERS = [
  'streams',
  'tasks',
  'remote',
  'appservices',
  'devices',
  'accounts',
  'events',
  'federation',
  'ephemeral',
  'rooms',
  'sync',
  'media',
  'backup',
  'delivery',
  'journeys',
  'sign-on',
  'takeover',
  'administration',
]

/**
 * `path`: the folder. `imports`: layers it may import at all. `types`: layers of which it may import only types.
 * `services` stands for all folders of services and the file services.ts.
 */
export const LAYERS = [
  { name: 'util', path: 'src/util', imports: [], types: [] },
  { name: 'telemetry', path: 'src/telemetry', imports: ['util'], types: [] },
  { name: 'protocol', path: 'src/protocol', imports: ['util'], types: [] },
  { name: 'config', path: 'src/config', imports: ['util', 'protocol'], types: [] },
  { name: 'migrations', path: 'migrations', imports: ['util'], types: [] },
  {
    name: 'storage',
    path: 'src/storage',
    imports: ['util', 'telemetry', 'protocol', 'migrations'],
    types: ['config'],
  },
  { name: 'net', path: 'src/net', imports: ['util', 'telemetry', 'protocol'], types: ['config'] },
  ...SERVICE_FOLDERS.map((folder, index) => ({
    name: `services/${folder}`,
    path: `src/services/${folder}`,
    imports: [
      'util',
      'telemetry',
      'protocol',
      'config',
      'storage',
      'net',
      ...SERVICE_FOLDERS.slice(0, index).map((earlier) => `services/${earlier}`),
    ],
    types: [],
  })),
  {
    name: 'services',
    path: 'src/services',
    imports: [],
    types: ['telemetry', ...SERVICE_FOLDERS.map((folder) => `services/${folder}`)],
  },
  {
    name: 'http',
    path: 'src/http',
    imports: ['util', 'telemetry', 'protocol'],
    types: ['config', 'services', ...SERVICE_FOLDERS.map((folder) => `services/${folder}`)],
  },
  {
    name: 'api',
    path: 'src/api',
    imports: ['util', 'protocol', 'http'],
    types: ['config', 'services', ...SERVICE_FOLDERS.map((folder) => `services/${folder}`)],
  },
  {
    name: 'server',
    path: 'src/server',
    imports: [
      'util',
      'telemetry',
      'protocol',
      'config',
      'storage',
      'net',
      ...SERVICE_FOLDERS.map((folder) => `services/${folder}`),
      'services',
      'http',
      'api',
    ],
    types: [],
  },
  {
    name: 'cli',
    path: 'src/cli',
    imports: ['util', 'telemetry', 'protocol', 'config', 'storage', 'net', 'http', 'api', 'server'],
    types: [],
  },
  {
    name: 'commands',
    path: 'commands',
    imports: ['util', 'telemetry', 'protocol', 'config', 'storage', 'net', 'http', 'api', 'server', 'cli'],
    types: [],
  },
]
