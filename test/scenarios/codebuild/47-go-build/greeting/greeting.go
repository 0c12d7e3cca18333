package greeting

func To(name string) string { return "hello " + name }
