variable "name" {
  description = "Name of this deployment; the names of what it makes begin with it"
  type        = string
  default     = "data-sanitizer"

  validation {
    # The bucket's name has the account and the region behind it, and 63 characters at most.
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "3 to 24 lower-case letters, digits and hyphens, beginning with a letter, not ending with a hyphen."
  }
}

variable "region" {
  description = "Region, such as eu-central-1"
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The name of a region, such as eu-central-1."
  }
}

variable "tags" {
  description = "Tags of everything that is made"
  type        = map(string)
  default     = {}
}

# Network

variable "vpc_cidr" {
  description = "Addresses of the network; its subnets take half of it"
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "A block of IPv4 addresses from /16 to /20."
  }
}

variable "zones" {
  description = "Availability zones, such as eu-central-1a; by name, so that a new one of the provider's moves nothing"
  type        = list(string)

  validation {
    condition     = contains([2, 3], length(distinct(var.zones))) && length(distinct(var.zones)) == length(var.zones)
    error_message = "2 or 3 different ones: the cluster and the database need two at least."
  }

  validation {
    condition     = alltrue([for zone in var.zones : startswith(zone, var.region)])
    error_message = "Zones of the region."
  }
}

variable "single_nat_gateway" {
  description = "One way out for all zones: cheaper, and gone with its zone"
  type        = bool
  default     = false
}

# Cluster

variable "cluster_version" {
  description = "Version of Kubernetes, such as 1.34; without a default, since each is supported for little more than a year"
  type        = string

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.cluster_version))
    error_message = "A version such as 1.34."
  }
}

variable "cluster_public_cidrs" {
  description = "From where the API of Kubernetes is reached over the internet; when empty it is reached from inside the network only"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.cluster_public_cidrs : can(cidrhost(cidr, 0)) && cidr != "0.0.0.0/0"])
    error_message = "Blocks of IPv4 addresses, and not the whole internet."
  }
}

variable "node_architecture" {
  description = "Processors of the nodes: amd64 or arm64; the images are made for both"
  type        = string
  default     = "amd64"

  validation {
    condition     = contains(["amd64", "arm64"], var.node_architecture)
    error_message = "amd64 or arm64."
  }
}

variable "node_instance_types" {
  description = "Instance types of the nodes, of that architecture; an executor of the chart's defaults takes 2 cores and 4 GiB"
  type        = list(string)
  default     = ["m7i.xlarge"]

  validation {
    condition     = length(var.node_instance_types) > 0
    error_message = "One instance type at least."
  }
}

variable "node_disk_gib" {
  description = "Disk of a node; executors keep results and spilled rows there, 50 GiB each by the chart's defaults"
  type        = number
  default     = 150

  validation {
    condition     = var.node_disk_gib >= 30 && var.node_disk_gib <= 16384
    error_message = "30 to 16384."
  }
}

variable "node_count" {
  description = "Number of nodes: fewest, most, and at the beginning"
  type        = object({ min = number, max = number, desired = number })
  default     = { min = 2, max = 6, desired = 2 }

  validation {
    condition     = 1 <= var.node_count.min && var.node_count.min <= var.node_count.desired && var.node_count.desired <= var.node_count.max
    error_message = "1 <= min <= desired <= max."
  }
}

# Database

variable "postgres_version" {
  description = "Version of Postgres, 16 or newer; a major version takes its latest minor one"
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^(1[6-9])(\\.[0-9]+)?$", var.postgres_version))
    error_message = "16 or newer, such as 17 or 17.6."
  }
}

variable "database_instance_class" {
  description = "Instance class of the database"
  type        = string
  default     = "db.t4g.medium"

  validation {
    condition     = startswith(var.database_instance_class, "db.")
    error_message = "Begins with db."
  }
}

variable "database_storage_gib" {
  description = "Storage of the database, and up to where it grows by itself"
  type        = object({ initial = number, max = number })
  default     = { initial = 50, max = 500 }

  validation {
    condition     = var.database_storage_gib.initial >= 20 && var.database_storage_gib.max > var.database_storage_gib.initial
    error_message = "20 at least, and max above initial."
  }
}

variable "database_multi_az" {
  description = "A standby in another zone"
  type        = bool
  default     = true
}

variable "database_require_tls" {
  description = "Whether the database refuses connections in the clear"
  type        = bool
  default     = true
}

variable "database_backup_days" {
  description = "Days for which backups are kept"
  type        = number
  default     = 14

  validation {
    condition     = var.database_backup_days >= 1 && var.database_backup_days <= 35
    error_message = "1 to 35."
  }
}

variable "database_deletion_protection" {
  description = "Whether the database refuses to be deleted"
  type        = bool
  default     = true
}

# Store

variable "store_prefix" {
  description = "Prefix in the bucket below which the service keeps uploads and outputs"
  type        = string
  default     = "service"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*$", var.store_prefix))
    error_message = "Names of letters, digits, _ and -, separated by /, without one at either end."
  }
}

variable "store_keep_old_days" {
  description = "Days for which replaced and deleted objects can be brought back"
  type        = number
  default     = 30

  validation {
    condition     = var.store_keep_old_days >= 1
    error_message = "1 at least."
  }
}

# What of the chart must be known here

variable "namespace" {
  description = "Namespace of the chart's release"
  type        = string
  default     = "data-sanitizer"
}

variable "service_account" {
  description = "Service account of the chart's pods; only this one may use the bucket"
  type        = string
  default     = "data-sanitizer"
}
