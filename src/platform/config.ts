/** Everything that can be set, in one typed object, read once at start. */
export interface Config {
  /** Absolute path of the data directory. */
  dataDir: string;
  /** Address to listen on. */
  listen: string;
  region: string;
  /** The account made at first start. */
  account: string;
  role: 'all' | 'api' | 'worker';
  machines: 'auto' | 'process' | 'sandbox' | 'dummy';
  databaseUrl: string | undefined;
  logLevel: string;
  /** Filled in once the ports are bound. */
  endpoints: {
    /** `http://127.0.0.1:4600`: what clients and builds are told to use. */
    http: string;
    https: string | undefined;
    ssh: string | undefined;
  };
  /** Service name → endpoint of another AWS (real or not), from `PENSTOCK_ENDPOINT_<SERVICE>`. */
  serviceEndpoints: Record<string, string>;
}
