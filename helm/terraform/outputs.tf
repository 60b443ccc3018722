output "kubeconfig" {
  description = "Command that lets kubectl and helm reach the cluster"
  value       = "aws eks update-kubeconfig --region ${var.region} --name ${aws_eks_cluster.main.name}"
}

output "helm_values" {
  description = "Values of the chart: terraform output -raw helm_values > values-aws.yaml"
  value = templatefile("${path.module}/values.yaml.tftpl", {
    store_url       = "s3://${aws_s3_bucket.store.id}/${var.store_prefix}"
    region          = var.region
    service_account = var.service_account
    role_arn        = aws_iam_role.service.arn
  })
}

output "namespace" {
  description = "Namespace in which the chart must be installed"
  value       = var.namespace
}

output "store_url" {
  description = "Where uploads and outputs are kept"
  value       = "s3://${aws_s3_bucket.store.id}/${var.store_prefix}"
}

output "service_role_arn" {
  description = "Role of the service account"
  value       = aws_iam_role.service.arn
}

output "database_host" {
  description = "Host of the database"
  value       = aws_db_instance.main.address
}

output "database_port" {
  description = "Port of the database"
  value       = aws_db_instance.main.port
}

output "database_name" {
  description = "Name of the database"
  value       = aws_db_instance.main.db_name
}

output "database_master_secret_arn" {
  description = "Secret with name and password of the database's master, which AWS changes; the service has a login of its own"
  value       = aws_db_instance.main.master_user_secret[0].secret_arn
}
