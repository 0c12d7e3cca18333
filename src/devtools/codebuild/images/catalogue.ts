/**
 * The images that AWS provides for CodeBuild, as of April 2026.
 *
 * Source: the folders of github.com/aws/aws-codebuild-docker-images (`ubuntu/standard`, `al/*\/standard`, `al-lambda`), and the CodeBuild user guide's
 * lists of EC2 and Lambda compute images for their identifiers and operating systems, and for the Windows images, which have no Dockerfile there.
 */
export interface CuratedPlatform {
  platform: string;
  /** Language → image → what is in it. */
  languages: Record<string, Record<string, string>>;
}

const LAMBDA: Record<string, string[]> = {
  DOTNET: ['dotnet6', 'dotnet8', 'dotnet10'],
  GOLANG: ['go1.21', 'go1.24', 'go1.25'],
  JAVA: ['corretto11', 'corretto17', 'corretto21', 'corretto25'],
  NODE_JS: ['nodejs18', 'nodejs20', 'nodejs22', 'nodejs24'],
  PYTHON: ['python3.11', 'python3.12', 'python3.13', 'python3.14'],
  RUBY: ['ruby3.2', 'ruby3.4'],
};

const ARCHITECTURES = ['x86_64', 'aarch64'];

export const CURATED: CuratedPlatform[] = [
  {
    platform: 'AMAZON_LINUX',
    languages: {
      STANDARD: {
        'aws/codebuild/amazonlinux-x86_64-standard:4.0': 'Amazon Linux 2, x86_64, several runtimes',
        'aws/codebuild/amazonlinux-x86_64-standard:5.0': 'Amazon Linux 2023, x86_64, several runtimes',
        'aws/codebuild/amazonlinux-x86_64-standard:6.0': 'Amazon Linux 2023, x86_64, several runtimes',
        'aws/codebuild/amazonlinux-x86_64-standard:corretto8': 'Amazon Linux 2, x86_64, Corretto 8',
        'aws/codebuild/amazonlinux-x86_64-standard:corretto11': 'Amazon Linux 2, x86_64, Corretto 11',
        'aws/codebuild/amazonlinux-aarch64-standard:2.0': 'Amazon Linux 2, aarch64, several runtimes',
        'aws/codebuild/amazonlinux-aarch64-standard:3.0': 'Amazon Linux 2023, aarch64, several runtimes',
        'aws/codebuild/amazonlinux-aarch64-standard:4.0': 'Amazon Linux 2023, aarch64, several runtimes',
      },
      ...Object.fromEntries(Object.entries(LAMBDA).map(([language, runtimes]) => [language, lambdaImages(runtimes)])),
    },
  },
  {
    platform: 'UBUNTU',
    languages: {
      STANDARD: {
        'aws/codebuild/standard:5.0': 'Ubuntu 20.04, x86_64, several runtimes',
        'aws/codebuild/standard:6.0': 'Ubuntu 22.04, x86_64, several runtimes',
        'aws/codebuild/standard:7.0': 'Ubuntu 22.04, x86_64, several runtimes',
        'aws/codebuild/standard:8.0': 'Ubuntu, x86_64, several runtimes',
      },
    },
  },
  {
    platform: 'WINDOWS_SERVER_2019',
    languages: {
      BASE: {
        'aws/codebuild/windows-base:2019-1.0': 'Windows Server Core 2019',
        'aws/codebuild/windows-base:2019-2.0': 'Windows Server Core 2019',
        'aws/codebuild/windows-base:2019-3.0': 'Windows Server Core 2019',
      },
    },
  },
  { platform: 'WINDOWS_SERVER_2022', languages: { BASE: { 'aws/codebuild/windows-base:2022-1.0': 'Windows Server Core 2022' } } },
];

function lambdaImages(runtimes: string[]): Record<string, string> {
  const images = ARCHITECTURES.flatMap((architecture) =>
    runtimes.map((runtime) => [
      `aws/codebuild/amazonlinux-${architecture}-lambda-standard:${runtime}`,
      `Lambda compute, ${architecture}, ${runtime}`,
    ]),
  );
  return Object.fromEntries(images) as Record<string, string>;
}
